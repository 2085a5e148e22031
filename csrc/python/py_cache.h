/* The cache object: an open file, and how it is used. */
#pragma once

#include "py_mapping.h"
#include "py_near.h"

enum serializer_kind {
    SERIALIZER_CALLABLES, /* everything but exact ints goes through them */
    SERIALIZER_PICKLE,
    SERIALIZER_RAW,
};

enum compressor_kind {
    COMPRESSOR_NONE,
    COMPRESSOR_ZLIB,
    COMPRESSOR_PACKAGE, /* functions of ours around a package */
    COMPRESSOR_CUSTOM,  /* the user's */
};

/* How values become bytes. */
struct codec {
    enum serializer_kind serializer;
    enum compressor_kind compressor;
    PyObject *dumps, *loads, *compress, *decompress; /* NULL: done in C */
    size_t compress_min_size;
};

/* A cache, or a namespace in one: that has no file of its own, but that of
 * its root, and neither callbacks nor work at exit. */
struct cache_object {
    PyObject_HEAD struct module_state *state;
    struct cache_object *root;   /* who has the file: a cache has it itself */
    struct cache_object *parent; /* of a namespace: what it is in; owned */
    PyObject *record;        /* of a namespace: the key of its record, bytes */
    struct mapping *map;     /* NULL: closed */
    size_t sections;         /* user code inside this cache, all threads */
    uint64_t checked_ms;     /* when the file was last seen to be there */
    int64_t lock_timeout_ms; /* < 0: none */
    int64_t expire_ms;       /* default: -1 never, 0 expired already */
    int64_t tombstone_ms;    /* the same of tombstones */
    struct codec codec;
    bool enable_stats, sigbus_guard, allow_shared, allow_network_fs, inspect;
    bool read_only;
    bool share; /* values are not changed by who gets them */
    bool write_back, allow_recursive, cache_not_found;
    bool unlink_on_exit, empty_on_exit;
    bool unlink_last;   /* the file goes with the last that has it open */
    bool told_orphan;   /* logged that changed values are stuck */
    bool told_nameless; /* logged that the file lost its name */
    bool told_kept;     /* logged that the file with its name is not for us */
    uint32_t mode;      /* of the file, should it be made again */
    uint64_t forks;     /* fmm_forks() when the object was made */
    PyObject *context, *read_cb, *write_cb, *delete_cb; /* or NULL */
    PyObject *path;                                     /* str, absolute */
    PyObject *path_bytes; /* the same for the system */
    struct near near;     /* of a cache: what is kept of its file */
    bool seeks_buffers;   /* of a cache: values may have large ones inside */
    bool near_unsaid;     /* off, unless somebody shares values */
    struct fmm_info info; /* of the file; stays after close() */
};

/* The parts of the type that caches and namespaces share. */
PyObject *cache_new(PyTypeObject *type, PyObject *args, PyObject *kwargs);
int cache_traverse(PyObject *object, visitproc visit, void *arg);
int cache_clear_references(PyObject *object);
void cache_dealloc(PyObject *object);

/* Take an open file in place of the one that it has. */
void cache_set_map(struct cache_object *self, struct mapping *map);
/* Keep finished objects from now on, in so many bytes. */
void cache_keep_near(struct cache_object *self, size_t budget);
/* Leave the file without the work due at exit; fine when closed. */
void cache_detach(struct cache_object *self);
/* Attach to the file that has the path now. When there is none, go on with
 * the old one, or, if `required`, make it anew; when it is of another version of
 * the format, go on with the old one. Returns 0, or -1 with an exception. */
int cache_reattach(struct cache_object *self, bool required);
/* Log what an open had to say, if anything. */
int cache_tell(const struct cache_object *self,
               const struct fmm_error *notice);
/* Raise ClosedError. Returns -1. */
int cache_raise_closed(const struct cache_object *self);
