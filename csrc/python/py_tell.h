/* What the user's store is told of changes, in order.
 *
 * Whoever tells it of a key first takes the right to do so, see py_turn.h,
 * and then looks what is the newest: so the store ends with that, whoever is
 * slow. Who finds the right taken may leave a change to whoever has it. */
#pragma once

#include "py_section.h"
#include "py_turn.h"

enum tell_outcome {
    TELL_FAILED, /* write_cb did, which was logged, or nobody here can */
    TELL_DONE,   /* or no longer needed */
    TELL_BUSY    /* somebody else tells the store of the key */
};

/* A dirty entry that a call of the core handed out. */
struct handout {
    struct fmm_ticket ticket;
    uint64_t serial; /* fmm_serial() of its file */
};

/* Hand the newest version of an entry to write_cb, or its removal to
 * delete_cb, and mark it clean. With `section` its page is held. Of `how` the
 * waiting counts. Returns an outcome, or -1 with an exception. */
int tell_entry(struct cache_object *self, struct handout *handout,
               struct section *section, const struct turn_wish *how);
/* The same for a key, if it has a dirty entry. `*gone`, when there was one,
 * says that it is a removal. */
int tell_key(struct cache_object *self, PyObject *key,
             const struct turn_wish *how, bool *gone);
/* How long to wait for others who write, ms. */
int tell_patience(const struct cache_object *self);
/* A changed value that is told at once, and not by way of a dirty entry. */
struct told {
    struct fmm_key key;
    PyObject *object, *value; /* the key and the value; borrowed */
    uint64_t expire_at;
};

/* Take the right, and write what is older. With `section` the page of the key
 * is held. Returns TELL_DONE or TELL_FAILED, and then end with tell_after(); or
 * -1 with LockTimeout and others. */
int tell_begin(struct cache_object *self, const struct told *told,
               struct section *section, struct turn **turn_out);
/* Then the value, before it is stored: so nobody can read an older one out of
 * the store and put it over this. Returns an outcome, or -1. */
int tell_value(struct cache_object *self, const struct told *told,
               struct section *section, struct turn *turn);
/* Note that the store may have a value of the key that the cache has not. */
int tell_departure(struct cache_object *self, const struct fmm_key *key,
                   struct section *section);
/* Let go of what the cache has of a key, if it is clean: the store has
 * something newer, and the cache has no room for it. Returns 0, or -1. */
int tell_forget(struct cache_object *self, const struct fmm_key *key);
/* Write what others left to us meanwhile, and give the right back, also with an
 * exception that is set. Returns 0, or -1 with an exception. */
int tell_after(struct cache_object *self, const struct told *told,
               struct section *section, struct turn *turn);
/* Tell the store of a value that found no room in the cache, and let go of what
 * that has of the key. With write-through not in turn. Returns 0, or -1. */
int tell_unstored(struct cache_object *self, const struct told *told);
/* Tell delete_cb of a removal that nothing in the cache stands for. What
 * read_cb brings back meanwhile goes. Returns 0, or -1. */
int tell_deletion(struct cache_object *self, PyObject *key);
