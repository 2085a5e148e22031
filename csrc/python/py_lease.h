/* What came of taking a lease, or of storing under one. Python has them by
 * the same names, in the module _core. */
#pragma once

enum lease_outcome {
    LEASE_TAKEN,
    LEASE_LEASED,  /* by another */
    LEASE_EXISTS,  /* there is a value */
    LEASE_REFUSED, /* no value could be stored: no room, or a tombstone */
    LEASE_STORED,
    LEASE_LOST, /* it was there no more */
};
