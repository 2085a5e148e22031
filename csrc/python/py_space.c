#include "py_space.h"

#include "py_writeback.h"

struct space_op {
    struct op op;
    const struct cache_object *space;
    bool make;
    struct fmm_ticket ticket;
};

/* The generation of a namespace, by way of those that it is in. The key of
 * the op becomes that of the record, whose page may have to be waited for. */
static enum fmm_status
resolve(struct fmm_cache *cache, struct space_op *s,
        const struct cache_object *space, uint64_t *generation)
{
    struct fmm_key *key = &s->op.key;
    uint64_t scope = 0;
    if (space->parent->parent != NULL) {
        enum fmm_status status = resolve(cache, s, space->parent, &scope);
        if (status != FMM_OK) {
            return status;
        }
    }
    *key = (struct fmm_key){
        .data = PyBytes_AS_STRING(space->record),
        .len = (size_t)PyBytes_GET_SIZE(space->record),
        .scope = scope,
        .kind = FMM_KEY_INTERNAL,
    };
    fmm_key_hash(cache, key);
    return s->make ? fmm_group_make(cache, &s->op.call, key, generation,
                                    &s->ticket)
                   : fmm_group_find(cache, &s->op.call, key, generation);
}

static enum fmm_status
run_space(struct fmm_cache *cache, struct op *op)
{
    struct space_op *s = (struct space_op *)op;
    uint64_t generation;
    enum fmm_status status = resolve(cache, s, s->space, &generation);
    if (status == FMM_OK) {
        op->key.scope = generation;
    }
    return status;
}

/* It is a part of the key, whose hash is another from now on. */
static void
set_scope(struct op *op, uint64_t scope)
{
    op->key.scope = scope;
    op->key.hashed_by = 0;
}

NOINLINE int
space_find(struct cache_object *self, struct op *op)
{
    struct space_op s = {.op = *op, .space = self};
    int status = op_call(self, &s.op, run_space);
    set_scope(op, status == FMM_OK ? s.op.key.scope : SPACE_NONE);
    return status < 0 ? -1 : 0;
}

int
space_raise_no_room(const struct cache_object *self)
{
    PyErr_Format(self->state->error,
                 "%U: no room for the record of a namespace or tag: changed "
                 "values fill its page, and write_cb does not take them",
                 self->path);
    return -1;
}

int
space_make(struct cache_object *self, struct op *op)
{
    struct space_op s = {.op = *op, .space = self, .make = true};
    int status = writeback_call(self, &s.op, run_space, &s.ticket);
    if (status != FMM_OK) {
        return status < 0 ? -1 : space_raise_no_room(self);
    }
    set_scope(op, s.op.key.scope);
    return 0;
}
