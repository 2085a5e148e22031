/* Outcomes and errors of every call of the core.
 *
 * Owns: the enum and the error record. Knows nothing of files or Python. */
#pragma once

/* 0 is done; > 0 an expected outcome; < 0 an error. */
enum fmm_status {
    FMM_OK = 0,
    FMM_MISS = 1,      /* no live entry with that key */
    FMM_EXISTS = 2,    /* FMM_STORE_ADD refused: the key is there */
    FMM_STALE = 3,     /* refused by a tombstone or a newer modseq */
    FMM_NO_ROOM = 4,   /* larger than an entry may be, or only dirty
                           entries that may not go are in the way */
    FMM_TOO_SMALL = 5, /* the caller's buffer; the size needed is given */
    FMM_BUSY = 6,      /* the page was not free within `wait_ms` */
    FMM_DIRTY = 7,     /* write the entry of the ticket back, then again */
    FMM_RETIRED = 8,   /* the file was replaced: open it anew, then again */
    FMM_NOT_INT = 9,   /* fmm_incr met a value that is no integer */
    FMM_OVERFLOW = 10, /* fmm_incr would leave 64 bits; nothing changed */
    FMM_LEASED = 11,   /* another computes the value of the key */
    FMM_SPLIT = 12,    /* in the core alone: the value is in parts */
    FMM_ERR_ARGUMENT = -1,  /* an option out of its range */
    FMM_ERR_FORMAT = -2,    /* not such a file, or other than asked for */
    FMM_ERR_CORRUPT = -3,   /* a page failed its checks beyond saving */
    FMM_ERR_OS = -4,        /* a system call failed: `errnum` says how */
    FMM_ERR_MEMORY = -5,    /* malloc failed */
    FMM_ERR_READ_ONLY = -6, /* the file was opened to be read */
    FMM_ERR_VERSION = -7    /* of another version of the format: left alone */
};

/* Why an open failed, in words for the user. */
struct fmm_error {
    enum fmm_status status;
    int errnum;     /* errno for FMM_ERR_OS, else 0 */
    char text[320]; /* what was found, what was expected, what to do */
};

/* Fill `error` (may be NULL) and return `status`. */
enum fmm_status fmm_error_set(struct fmm_error *error, enum fmm_status status,
                              int errnum, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* The same of a system call that failed: FMM_ERR_OS, with errno and its words
 * after `what`. */
enum fmm_status fmm_error_os(struct fmm_error *error, const char *what);
