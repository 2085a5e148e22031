/* The docstrings of the type LockedItem. */
#include "py_docs.h"

/* clang-format off */

const char item_doc[] = PyDoc_STR(
"A key whose page is held while the ``with`` block runs.\n\
\n\
Made by ``FastMmap.lock()``. What is assigned to ``value``, set or removed\n\
is written when the block ends, and not at all when it raises. In a child\n\
that was forked inside the block nothing is written, and the end of the\n\
block is a LockError: the page is the parent's.\n\
\n\
Threads may share one, as they share a threading.Lock: each waits for its\n\
turn. A block is changed by the thread that entered it. Others see what it\n\
has, or else what the last one left.\n\
\n\
At the end of the block a value that does not fit raises ValueError; the old\n\
value stays.");

const char item_value_doc[] = PyDoc_STR(
"The value, ``None`` when there is none; assign to store another.\n\
\n\
An assignment keeps the expiry that the entry has; a new one gets the\n\
default. Raises what the serializer raises, LockError outside the block.");

const char item_exists_doc[] = PyDoc_STR(
"Whether there is a value, or will be when the block ends.");

const char item_expire_on_doc[] = PyDoc_STR(
"When the value expires, seconds since 1970; ``None`` for never.");

const char item_modseq_doc[] = PyDoc_STR(
"The modseq of the value, or ``None``.");

const char item_set_doc[] = PyDoc_STR(
"set($self, /, value, expire_time=None, *, expire_on=None, modseq=None)\n\
--\n\
\n\
Store a value when the block ends.\n\
\n\
Args:\n\
    value: Whatever the serializer takes; it is serialized now.\n\
    expire_time: Lifetime: seconds, a timedelta, or text such as \"10s\".\n\
    expire_on: Seconds since 1970; wins over `expire_time`. Without either\n\
        the entry keeps the expiry that it has.\n\
    modseq: Refuse to replace anything newer than this number.\n\
\n\
Returns:\n\
    None.\n\
\n\
Raises:\n\
    LockError: The block has ended, or is another thread's.\n\
    ValueError: An argument is out of its range.");

const char item_remove_doc[] = PyDoc_STR(
"remove($self, /)\n\
--\n\
\n\
Remove the key when the block ends; ``delete_cb`` is called then.\n\
\n\
Returns:\n\
    None.\n\
\n\
Raises:\n\
    LockError: The block has ended, or is another thread's.");

const char item_enter_doc[] = PyDoc_STR(
"__enter__($self, /)\n\
--\n\
\n\
Take the page and read the key.\n\
\n\
Raises:\n\
    LockTimeout: The page was not to be had in time.\n\
    LockError: This thread is inside this block, or the cache, already.");

const char item_exit_doc[] = PyDoc_STR(
"__exit__($self, /, *exc_info)\n\
--\n\
\n\
Write what was changed, unless the block raised, and give the page back.\n\
\n\
Another thread may end a block, where nothing but that thread will.\n\
\n\
Raises:\n\
    ValueError: The value does not fit, or a newer modseq refuses it.\n\
    LockError: There is no block to end, or a parent process has it.");

/* clang-format on */
