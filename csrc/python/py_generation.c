#include "py_generation.h"

struct generation_op {
    struct op op;
    const struct cache_object *space;
};

/* The scope of a namespace, by way of those that it is in. The key of the op
 * becomes that of the record, whose page may have to be waited for. */
static enum fmm_status
resolve(struct fmm_cache *cache, struct op *op,
        const struct cache_object *space, uint64_t *scope_out)
{
    struct fmm_key *key = &op->key;
    uint64_t around = 0;
    uint32_t generation;
    if (space->parent->parent != NULL) {
        enum fmm_status status = resolve(cache, op, space->parent, &around);
        if (status != FMM_OK) {
            return status;
        }
    }
    *key = (struct fmm_key){
        .data = PyBytes_AS_STRING(space->record),
        .len = (size_t)PyBytes_GET_SIZE(space->record),
        .scope = around,
        .kind = FMM_KEY_INTERNAL,
    };
    fmm_key_hash(cache, key);
    enum fmm_status status =
        fmm_group_find(cache, &op->call, key, &generation);
    if (status == FMM_OK) {
        *scope_out = fmm_group_scope(cache, key, generation);
    }
    return status;
}

static enum fmm_status
run_find(struct fmm_cache *cache, struct op *op)
{
    const struct generation_op *s = (const struct generation_op *)op;
    return resolve(cache, op, s->space, &op->key.scope);
}

/* The scope is a part of the key, whose hash is another from now on. */
FMM_NOINLINE int
generation_find(struct cache_object *self, struct op *op)
{
    struct generation_op s = {.op = *op, .space = self};
    int status = op_call(self, &s.op, run_find);
    op->key.scope = s.op.key.scope;
    op->key.hashed_by = 0;
    return status < 0 ? -1 : 0;
}
