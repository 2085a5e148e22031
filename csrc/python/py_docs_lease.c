/* The docstrings of leases, and of what locks are made of. */
#include "py_docs.h"

/* clang-format off */

const char lease_doc[] = PyDoc_STR(
"Lease(cache, key, ms)\n\
--\n\
\n\
The right to compute the value of a key while a block runs.\n\
\n\
It holds nothing until ``take()``, and nothing after its block, however that\n\
ends. A child that was forked meanwhile holds nothing of it.");

const char lease_cache_doc[] = PyDoc_STR("The cache or namespace.");

const char lease_key_doc[] = PyDoc_STR("The key.");

const char lease_running_doc[] = PyDoc_STR("Whether its block runs.");

const char lease_token_doc[] = PyDoc_STR(
"What tells it from other leases; ``None`` when it holds nothing.");

const char lease_inherited_doc[] = PyDoc_STR(
"Whether a parent of this process holds it, and not this process.");

const char lease_take_doc[] = PyDoc_STR(
"take($self, refresh=False, /)\n\
--\n\
\n\
Take it, if that is possible now.\n\
\n\
Returns:\n\
    A word, the process that has it, and the token that it has: \"taken\" and\n\
    0; \"leased\" by another; \"exists\", there is a value; or \"refused\", for\n\
    none could be stored.");

const char lease_store_doc[] = PyDoc_STR(
"store($self, value, expire_time=None, leasable=False, tags=b\"\", /)\n\
--\n\
\n\
Store what was computed, which ends it.\n\
\n\
Returns:\n\
    \"stored\"; \"lost\": it was there no more; \"refused\": there is no room.");

const char lease_release_doc[] = PyDoc_STR(
"release($self, /)\n\
--\n\
\n\
Give it back; tell whether it was still there. Waits for nothing.");

const char lease_enter_doc[] = PyDoc_STR(
"__enter__($self, /)\n\
--\n\
\n\
Begin the block. Takes nothing.");

const char lease_exit_doc[] = PyDoc_STR(
"__exit__($self, /, *exc_info)\n\
--\n\
\n\
Give it back, unless a value took its place.");

const char holdings_doc[] = PyDoc_STR(
"Holdings(cache, keys, kind)\n\
--\n\
\n\
What this process holds of a lock: kind 0, of an RLock: 1, or of a\n\
semaphore: 2, which has as many permits as there are keys.");

const char share_doc[] = PyDoc_STR(
"share($module, cache, keys, kind, /)\n\
--\n\
\n\
Return the Holdings that all locks of these keys share while there are any.");

const char acquirable_doc[] = PyDoc_STR(
"Acquirable(holdings, name, ms, timeout)\n\
--\n\
\n\
The calls of a lock that lasts for so many ms.");

const char acquirable_name_doc[] = PyDoc_STR("The name that it was made with.");

const char acquire_doc[] = PyDoc_STR(
"acquire($self, /, blocking=True, timeout=None)\n\
--\n\
\n\
Get it, and wait until that is possible.\n\
\n\
Whatever exception comes before it returns, from a signal handler for\n\
example, nothing is held then.\n\
\n\
Args:\n\
    blocking: Whether to wait.\n\
    timeout: Seconds to wait; ``None`` for the time given to the\n\
        constructor, -1 for as long as it takes.\n\
\n\
Returns:\n\
    Whether it was got.\n\
\n\
Raises:\n\
    LockError: The cache has no room for it.\n\
    ValueError, OverflowError: A timeout out of range.");

const char acquire_async_doc[] = PyDoc_STR(
"acquire_async($self, /, timeout=None)\n\
--\n\
\n\
Get it like `acquire`, and let the event loop go on meanwhile.\n\
\n\
Works with asyncio and trio, and so with anyio.\n\
\n\
Returns:\n\
    An awaitable of whether it was got. When it is cancelled, nothing is held.");

const char release_doc[] = PyDoc_STR(
"release($self, /)\n\
--\n\
\n\
Give it back: at once, whoever holds its page of the cache just then.\n\
\n\
A `Lock` or permit can be given back by another thread than the one that got\n\
it; an `RLock` by who has it only, and it is free after as many times as it\n\
was taken.\n\
\n\
Raises:\n\
    LockError: It is not held through this object in this process; of an\n\
        `RLock`, by this thread or task.\n\
    LockLost: It was held, and ended before: it may have been had by others\n\
        meanwhile.");

const char release_some_doc[] = PyDoc_STR(
"release($self, /, n=1)\n\
--\n\
\n\
Give permits back; any thread of the process may, through this object.\n\
\n\
Args:\n\
    n: How many.\n\
\n\
Raises:\n\
    ValueError: Less than one, or more than were got through this object in\n\
        this process; none is given back then.\n\
    LockLost: One ended before; the others are given back.");

const char extend_doc[] = PyDoc_STR(
"_extend($self, ms, /)\n\
--\n\
\n\
Let the time begin anew; ``None`` for as long as before.");

const char acquirable_enter_doc[] = PyDoc_STR(
"__enter__($self, /)\n\
--\n\
\n\
Get it. Raises LockTimeout when the time to wait is over.");

const char acquirable_exit_doc[] = PyDoc_STR(
"__exit__($self, /, *exc_info)\n\
--\n\
\n\
Give it back. Raises LockLost, unless the block raised anyway.");

const char acquirable_aenter_doc[] = PyDoc_STR(
"__aenter__($self, /)\n\
--\n\
\n\
Get it without blocking the event loop.");

const char acquirable_aexit_doc[] = PyDoc_STR(
"__aexit__($self, /, *exc_info)\n\
--\n\
\n\
Give it back, which takes no waiting.");

const char acquiring_doc[] = PyDoc_STR(
"What ``acquire_async()`` and ``async with`` await.");
