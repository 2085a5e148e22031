/* The docstrings of the type Cache. Those of functions
 * begin with their text signatures. */
#include "py_docs.h"

/* clang-format off */

const char cache_doc[] = PyDoc_STR(
"Cache(path, *, cache_size=0, page_size=0, num_pages=0, slots=0,\
 entry_size=0, serializer=None, compressor=None, mode=0, init_file=False,\
 must_exist=False, sparse=False, verify=False, allow_shared=False,\
 allow_network_fs=False, sigbus_guard=False, inspect=False)\n\
--\n\
\n\
An open cache file: the base of ``fastmmap.FastMmap``, whose options it\n\
takes in the core's own terms. 0 and ``None`` follow the file.");

const char share_file_doc[] = PyDoc_STR(
"Absolute path of the file, str.");

const char cache_size_doc[] = PyDoc_STR(
"Bytes of all pages together.");

const char page_size_doc[] = PyDoc_STR(
"Bytes of a page.");

const char num_pages_doc[] = PyDoc_STR(
"Number of pages.");

const char serializer_doc[] = PyDoc_STR(
"Name of the serializer that the file records; \"custom\" for a pair.");

const char compressor_doc[] = PyDoc_STR(
"Name of the compressor that the file records, or ``None``.");

const char expire_time_doc[] = PyDoc_STR(
"Default lifetime in seconds, 0.0 for never; \"now\" when at once.");

const char closed_doc[] = PyDoc_STR(
"Whether ``close()`` was called.");

const char created_doc[] = PyDoc_STR(
"Whether this object made the file.");

const char get_doc[] = PyDoc_STR(
"get($self, /, key, default=None)\n\
--\n\
\n\
Return the value of a key.\n\
\n\
Calls ``read_cb``, if there is one, when the key is missing. A value that\n\
cannot be read back raises what the serializer raises, with a note that\n\
names key and file, and stays.\n\
\n\
Args:\n\
    key: str or bytes.\n\
    default: Returned when there is no value.\n\
\n\
Returns:\n\
    The value, or `default`.\n\
\n\
Raises:\n\
    TypeError: The key is of another type.\n\
    UnicodeEncodeError: The key holds lone surrogates.\n\
    LockError: Called by code that the cache called.\n\
    CorruptError: The stored value is damaged.");

const char get_entry_doc[] = PyDoc_STR(
"get_entry($self, /, key)\n\
--\n\
\n\
Return what is known of a key; never calls ``read_cb``.\n\
\n\
Args:\n\
    key: str or bytes.\n\
\n\
Returns:\n\
    An `Entry`, or ``None`` when the key is missing.\n\
\n\
Raises:\n\
    TypeError: The key is of another type.");

const char get_many_doc[] = PyDoc_STR(
"get_many($self, /, keys)\n\
--\n\
\n\
Return the values of many keys; never calls ``read_cb``.\n\
\n\
Each key is read by itself, from whatever page it is on, once `keys` gave it\n\
and up to fifteen more.\n\
\n\
Args:\n\
    keys: Iterable of str and bytes.\n\
\n\
Returns:\n\
    A dict of those that were found and can be read.\n\
\n\
Raises:\n\
    TypeError: A key is of another type.");

const char multi_get_doc[] = PyDoc_STR(
"multi_get($self, /, page_key, keys)\n\
--\n\
\n\
Return the values of many keys of one page, under one lock.\n\
\n\
Finds what ``multi_set`` stored with the same `page_key`, not what ``set``\n\
stored, nor what has another `page_key`. Never calls ``read_cb``.\n\
\n\
Args:\n\
    page_key: str or bytes; says which page.\n\
    keys: Iterable of str and bytes.\n\
\n\
Returns:\n\
    A dict of those that were found and can be read.\n\
\n\
Raises:\n\
    TypeError: A key is of another type.");

const char exists_doc[] = PyDoc_STR(
"exists($self, /, key)\n\
--\n\
\n\
Tell whether a key has a value; never calls ``read_cb``, never decodes.\n\
\n\
Args:\n\
    key: str or bytes.\n\
\n\
Returns:\n\
    bool.\n\
\n\
Raises:\n\
    TypeError: The key is of another type.");

const char set_doc[] = PyDoc_STR(
"set($self, /, key, value, expire_time=None, *, expire_on=None, modseq=None,\
 tags=())\n\
--\n\
\n\
Store a value.\n\
\n\
With ``write_back`` the value goes to ``write_cb`` when it is about to leave\n\
the cache; else ``write_cb``, if there is one, is called now.\n\
\n\
Args:\n\
    key: str or bytes.\n\
    value: Whatever the serializer takes.\n\
    expire_time: Lifetime: seconds (int or float), a timedelta, or text\n\
        such as \"10s\" or \"now\"; 0 is never, ``None`` the default.\n\
    expire_on: Seconds since 1970, 0 for never; wins over `expire_time`.\n\
    modseq: Refuse to replace a value or tombstone with a greater number.\n\
    tags: An iterable of 16 str or bytes at most; ``invalidate_tag`` of one\n\
        of them makes the value void.\n\
\n\
Returns:\n\
    Whether it was stored: False when it does not fit, or when a tombstone\n\
    or a newer modseq refuses it. The old value stays then.\n\
\n\
Raises:\n\
    TypeError: An argument is of another type.\n\
    ValueError: An argument is out of its range.\n\
    LockTimeout: The page was not to be had within ``lock_timeout``.\n\
    LockError: Called by code that the cache called.");

const char add_doc[] = PyDoc_STR(
"add($self, /, key, value, expire_time=None, *, expire_on=None, modseq=None,\
 tags=())\n\
--\n\
\n\
Store a value only if the key has none, in one step.\n\
\n\
Args:\n\
    key: str or bytes.\n\
    value: Whatever the serializer takes.\n\
    expire_time: Lifetime, as in ``set``.\n\
    expire_on: Seconds since 1970, as in ``set``.\n\
    modseq: As in ``set``.\n\
    tags: As in ``set``.\n\
\n\
Returns:\n\
    Whether it was stored.\n\
\n\
Raises:\n\
    TypeError: An argument is of another type.\n\
    ValueError: An argument is out of its range.");

const char replace_doc[] = PyDoc_STR(
"replace($self, /, key, value, expire_time=None, *, expire_on=None,\
 modseq=None, tags=())\n\
--\n\
\n\
Store a value only if the key has one, in one step.\n\
\n\
Args:\n\
    key: str or bytes.\n\
    value: Whatever the serializer takes.\n\
    expire_time: Lifetime, as in ``set``.\n\
    expire_on: Seconds since 1970, as in ``set``.\n\
    modseq: As in ``set``.\n\
    tags: As in ``set``.\n\
\n\
Returns:\n\
    Whether it was stored.\n\
\n\
Raises:\n\
    TypeError: An argument is of another type.\n\
    ValueError: An argument is out of its range.");

const char set_many_doc[] = PyDoc_STR(
"set_many($self, /, mapping, expire_time=None, *, expire_on=None, tags=())\n\
--\n\
\n\
Store many values, each as ``set`` does.\n\
\n\
Args:\n\
    mapping: A mapping, or an iterable of pairs of key and value.\n\
    expire_time: Lifetime, as in ``set``.\n\
    expire_on: Seconds since 1970, as in ``set``.\n\
    tags: As in ``set``, of all of them.\n\
\n\
Returns:\n\
    A list of the keys that were not stored.\n\
\n\
Raises:\n\
    TypeError: A key or value is of another type; those before are stored.\n\
    ValueError: An argument is out of its range.");

const char multi_set_doc[] = PyDoc_STR(
"multi_set($self, /, page_key, mapping, expire_time=None, *, expire_on=None)\n\
--\n\
\n\
Store many values on one page, under one lock, for ``multi_get``.\n\
\n\
Args:\n\
    page_key: str or bytes; says which page.\n\
    mapping: A mapping, or an iterable of pairs of key and value.\n\
    expire_time: Lifetime, as in ``set``.\n\
    expire_on: Seconds since 1970, as in ``set``.\n\
\n\
Returns:\n\
    True when all were stored.\n\
\n\
Raises:\n\
    TypeError: A key or value is of another type; nothing is stored.\n\
    ValueError: An argument is out of its range.");

const char setdefault_doc[] = PyDoc_STR(
"setdefault($self, /, key, default=None)\n\
--\n\
\n\
Return the value of a key, after storing `default` where none can be read.\n\
\n\
Args:\n\
    key: str or bytes.\n\
    default: Whatever the serializer takes.\n\
\n\
Returns:\n\
    The value that the key has now.\n\
\n\
Raises:\n\
    ValueError: The value does not fit, or a tombstone refuses it.");

const char incr_doc[] = PyDoc_STR(
"incr($self, /, key, delta=1, *, initial=0, expire_time=None)\n\
--\n\
\n\
Add to an integer, in one step; where there is none, store one.\n\
\n\
The expiry of a value that is there stays.\n\
\n\
Args:\n\
    key: str or bytes.\n\
    delta: int of 64 bits.\n\
    initial: int of 64 bits, what a missing key starts from.\n\
    expire_time: Lifetime of a new value, as in ``set``.\n\
\n\
Returns:\n\
    The new int.\n\
\n\
Raises:\n\
    TypeError: The value is no int.\n\
    OverflowError: The result is beyond 64 bits; the value stays.\n\
    ValueError: A new value finds no room, or a tombstone refuses it.");

const char decr_doc[] = PyDoc_STR(
"decr($self, /, key, delta=1, *, initial=0, expire_time=None)\n\
--\n\
\n\
Subtract from an integer, in one step; where there is none, store one.\n\
\n\
Args:\n\
    key: str or bytes.\n\
    delta: int of 64 bits.\n\
    initial: int of 64 bits, what a missing key starts from.\n\
    expire_time: Lifetime of a new value, as in ``set``.\n\
\n\
Returns:\n\
    The new int.\n\
\n\
Raises:\n\
    TypeError: The value is no int.\n\
    OverflowError: The result is beyond 64 bits; the value stays.\n\
    ValueError: A new value finds no room, or a tombstone refuses it.");

const char touch_doc[] = PyDoc_STR(
"touch($self, /, key, expire_time=None, *, expire_on=None)\n\
--\n\
\n\
Change the lifetime of a value, nothing else.\n\
\n\
Args:\n\
    key: str or bytes.\n\
    expire_time: Lifetime, as in ``set``.\n\
    expire_on: Seconds since 1970, as in ``set``.\n\
\n\
Returns:\n\
    Whether the key has a value.\n\
\n\
Raises:\n\
    TypeError: An argument is of another type.\n\
    ValueError: An argument is out of its range.");

const char remove_doc[] = PyDoc_STR(
"remove($self, /, key, *, modseq=None, expire_time=None, expire_on=None)\n\
--\n\
\n\
Remove a key, and call ``delete_cb`` unless the store never had its value.\n\
\n\
A value that another thread or process is just handing to ``write_cb`` is\n\
deleted by that one, after it was written.\n\
\n\
Args:\n\
    key: str or bytes.\n\
    modseq: Leave a tombstone of this number, which refuses older values. A\n\
        value with an equal or greater number stays.\n\
    expire_time: Lifetime of the tombstone, as in ``set``; ``None`` is\n\
        ``tombstone_expire_time``.\n\
    expire_on: The same in seconds since 1970.\n\
\n\
Returns:\n\
    Whether there was a value.\n\
\n\
Raises:\n\
    TypeError: An argument is of another type.\n\
    ValueError: An argument is out of its range.");

const char get_and_remove_doc[] = PyDoc_STR(
"get_and_remove($self, /, key, default=None)\n\
--\n\
\n\
Remove a key and return its value, in one step.\n\
\n\
Calls ``delete_cb`` as ``remove`` does, and no ``read_cb``. A value that\n\
cannot be read any more is removed and logged: `default`, and ``True``.\n\
\n\
Args:\n\
    key: str or bytes.\n\
    default: Returned when there is no value.\n\
\n\
Returns:\n\
    A named tuple ``(value, removed)``.\n\
\n\
Raises:\n\
    TypeError: The key is of another type.");

const char pop_doc[] = PyDoc_STR(
"pop($self, /, key, default=...)\n\
--\n\
\n\
Remove a key and return its value, in one step; no ``read_cb``.\n\
\n\
Args:\n\
    key: str or bytes.\n\
    default: If given, returned when there is no value that can be read.\n\
\n\
Returns:\n\
    The value, or `default`.\n\
\n\
Raises:\n\
    KeyError: There is no value and no `default`.\n\
    Exception: As of ``get``; the value is removed all the same.");

const char delete_many_doc[] = PyDoc_STR(
"delete_many($self, /, keys)\n\
--\n\
\n\
Remove many keys, each as ``remove`` does.\n\
\n\
Args:\n\
    keys: Iterable of str and bytes.\n\
\n\
Returns:\n\
    How many had a value.\n\
\n\
Raises:\n\
    TypeError: A key is of another type; those before are removed.");

const char expire_doc[] = PyDoc_STR(
"expire($self, /, key)\n\
--\n\
\n\
Remove a key as if it had expired: a dirty value goes to ``write_cb`` first.\n\
\n\
When ``write_cb`` fails the value stays. ``delete_cb`` is not called.\n\
\n\
Args:\n\
    key: str or bytes.\n\
\n\
Returns:\n\
    Whether there was a value, and it is gone.\n\
\n\
Raises:\n\
    TypeError: The key is of another type.");

const char get_and_set_doc[] = PyDoc_STR(
"get_and_set($self, /, key, func)\n\
--\n\
\n\
Change a value by a function while nobody else can change it.\n\
\n\
The page of the key is held while ``func(key, value, entry)`` runs; it must\n\
not use the cache. `value` is ``None`` and `entry` is ``None`` when the key\n\
is missing. It returns the new value, which keeps the expiry that the entry\n\
has, or a ``Store`` that says more, or ``KEEP`` to change nothing.\n\
\n\
Args:\n\
    key: str or bytes.\n\
    func: A callable of three arguments.\n\
\n\
Returns:\n\
    A named tuple ``(value, stored)`` of the new value and whether it was\n\
    stored; with ``KEEP`` the old value and False.\n\
\n\
Raises:\n\
    LockTimeout: The page was not to be had within ``lock_timeout``.\n\
    LockError: Called by code that the cache called, or `func` forked and\n\
        this is the child.\n\
    Exception: What `func` raises, unchanged; nothing is stored then.");

const char lock_doc[] = PyDoc_STR(
"lock($self, /, key, timeout=None)\n\
--\n\
\n\
Return a context manager that holds the page of a key.\n\
\n\
``with cache.lock(key) as item:`` gives a ``LockedItem``, whose ``value``\n\
can be read and assigned. Changes are written when the block ends, none when\n\
it raises. The cache cannot be used by the same thread meanwhile.\n\
\n\
Args:\n\
    key: str or bytes.\n\
    timeout: Seconds to wait for the page; ``None`` is ``lock_timeout``.\n\
\n\
Returns:\n\
    A ``LockedItem``.\n\
\n\
Raises:\n\
    TypeError: An argument is of another type.\n\
    ValueError: `timeout` is negative.");

const char empty_doc[] = PyDoc_STR(
"empty($self, /, only_expired=False)\n\
--\n\
\n\
Drop everything, or what has expired; dirty values go to ``write_cb`` first.\n\
\n\
A dirty value that ``write_cb`` fails for stays.\n\
\n\
Args:\n\
    only_expired: Drop what has expired only.\n\
\n\
Returns:\n\
    How many values were dropped.");

const char flush_doc[] = PyDoc_STR(
"flush($self, /)\n\
--\n\
\n\
Hand all dirty values to ``write_cb`` now; they stay, no longer dirty.\n\
\n\
One that ``write_cb`` fails for stays dirty. One that another thread or\n\
process is just writing is waited for, 5 seconds at most, or as long as\n\
``lock_timeout`` says if that is less; that one then writes the newest.\n\
\n\
Returns:\n\
    None.");

const char get_statistics_doc[] = PyDoc_STR(
"get_statistics($self, /, clear=False)\n\
--\n\
\n\
Return the reads and hits of all caches of the file with ``enable_stats``.\n\
\n\
Args:\n\
    clear: Start again from 0 afterwards.\n\
\n\
Returns:\n\
    A tuple ``(reads, hits)``.");

const char clear_doc[] = PyDoc_STR(
"clear($self, /)\n\
--\n\
\n\
Drop everything; no callback is called, not even for dirty values.\n\
\n\
Returns:\n\
    None.");

const char purge_doc[] = PyDoc_STR(
"purge($self, /)\n\
--\n\
\n\
Drop what has expired; no callback is called, not even for dirty values.\n\
\n\
Returns:\n\
    How many values were dropped.");

const char close_doc[] = PyDoc_STR(
"close($self, /)\n\
--\n\
\n\
Close the cache, after the work due at exit; closing twice is fine.\n\
\n\
In the process that created the object ``empty_on_exit`` and\n\
``unlink_on_exit`` are done now. The file is closed in any case.\n\
\n\
Returns:\n\
    None.\n\
\n\
Raises:\n\
    LockError: Called by code that the cache called.");

const char scan_doc[] = PyDoc_STR(
"_scan($self, mode, /)\n\
--\n\
\n\
Return an iterator that copies one page at a time.");

const char stats_doc[] = PyDoc_STR(
"_stats($self, /)\n\
--\n\
\n\
Return the fields of ``Stats``.");

const char check_page_doc[] = PyDoc_STR(
"_check_page($self, page, repair=False, timeout_ms=-1, /)\n\
--\n\
\n\
Return entries, live bytes, dead bytes and the problem of a page, and how\n\
many slots of it are in use, sound or not.");

const char info_doc[] = PyDoc_STR(
"_info($self, /)\n\
--\n\
\n\
Return facts about the file.");

const char detach_doc[] = PyDoc_STR(
"_detach($self, /)\n\
--\n\
\n\
Close without the work due at exit.");

const char configure_doc[] = PyDoc_STR(
"_configure($self, /, dumps, loads, compress, decompress, *,\
 compress_min_size, expire_ms, tombstone_ms, lock_timeout_ms, enable_stats,\
 context, read_cb, write_cb, delete_cb, cache_not_found, write_back,\
 allow_recursive)\n\
--\n\
\n\
Say how the cache is used.");

const char set_exit_work_doc[] = PyDoc_STR(
"_set_exit_work($self, /, *, unlink, empty, last)\n\
--\n\
\n\
Say what is due when the cache is closed.");

/* clang-format on */
