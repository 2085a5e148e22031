/* The docstrings of the type Keyspace: of what caches do not do otherwise, and
 * of tags and leases. */
#include "py_docs.h"

/* clang-format off */

const char space_doc[] = PyDoc_STR(
"Keyspace(parent, name)\n\
--\n\
\n\
The operations on keys: the base of caches and of ``fastmmap.Namespace``.\n\
\n\
`parent` is a cache or a namespace, `name` a str.");

const char space_clear_doc[] = PyDoc_STR(
"clear($self, /)\n\
--\n\
\n\
Drop everything in the namespace, at once and however much it is.\n\
\n\
What is being stored or computed meanwhile is dropped, too, if it began\n\
before. The space is reclaimed when others need it.\n\
\n\
Returns:\n\
    None.");

const char invalidate_tag_doc[] = PyDoc_STR(
"invalidate_tag($self, tag, /)\n\
--\n\
\n\
Drop all values with a tag, at once and however many they are.\n\
\n\
A value is dropped, too, that is being stored or computed meanwhile by who\n\
named the tag before. Changed values are still written back. The space is\n\
reclaimed when others need it.\n\
\n\
Args:\n\
    tag: str or bytes. A namespace has tags of its own.\n\
\n\
Returns:\n\
    Whether any value could have had it.\n\
\n\
Raises:\n\
    TypeError: The tag is neither str nor bytes.\n\
    LockTimeout: The page was not to be had within ``lock_timeout``.");

const char read_tags_doc[] = PyDoc_STR(
"_read_tags($self, tags, /)\n\
--\n\
\n\
Return tags as they are now, bytes, for ``Lease.store``.");

const char lease_peek_doc[] = PyDoc_STR(
"_lease_peek($self, key, /)\n\
--\n\
\n\
Return who has the lease of a key: the id of the process, when it was taken,\n\
in whole seconds since 1970, and when it ends, in seconds. None: nobody has.");

const char find_doc[] = PyDoc_STR(
"_find($self, key, default, /)\n\
--\n\
\n\
Return the value of a key as ``get`` does, for one who can compute it: a value\n\
that cannot be read any more is logged, removed, and missing.");

const char wait_publish_doc[] = PyDoc_STR(
"_wait_publish($self, token, other, ms, /)\n\
--\n\
\n\
Say for so long that the holder of a lease waits for another lease.");

const char wait_look_doc[] = PyDoc_STR(
"_wait_look($self, token, /)\n\
--\n\
\n\
Return the token that the holder of a lease waits for, and until when that\n\
is said to be so, ms since 1970; ``None``: it waits for none.");

const char wait_end_doc[] = PyDoc_STR(
"_wait_end($self, token, /)\n\
--\n\
\n\
Say it no longer.");
