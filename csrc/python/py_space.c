#include "py_space.h"

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

enum fmm_status
space_run(struct fmm_cache *cache, struct op *op)
{
    struct space_op *s = (struct space_op *)op;
    uint64_t generation;
    enum fmm_status status = resolve(cache, s, s->space, &generation);
    if (status == FMM_OK) {
        op->key.scope = generation;
    }
    return status;
}

void
space_set_scope(struct op *op, uint64_t scope)
{
    op->key.scope = scope;
    op->key.hashed_by = 0;
}

NOINLINE int
space_find(struct cache_object *self, struct op *op)
{
    struct space_op s = {.op = *op, .space = self};
    int status = op_call(self, &s.op, space_run);
    space_set_scope(op, status == FMM_OK ? s.op.key.scope : SPACE_NONE);
    return status < 0 ? -1 : 0;
}
