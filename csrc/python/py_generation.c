#include "py_generation.h"

struct generation_op {
    struct op op;
    const struct cache_object *space;
};

/* The key of its record, in the scope `around`. */
static void
key_of_record(const struct fmm_cache *cache, const struct cache_object *space,
              uint64_t around, struct fmm_key *key_out)
{
    *key_out = (struct fmm_key){
        .data = PyBytes_AS_STRING(space->record),
        .len = (size_t)PyBytes_GET_SIZE(space->record),
        .scope = around,
        .kind = FMM_KEY_INTERNAL,
    };
    fmm_key_hash(cache, key_out);
}

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
    key_of_record(cache, space, around, key);
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
    op->record_hash = s.op.key.hash;
    op->key.scope = s.op.key.scope;
    op->key.hashed_by = 0;
    return status < 0 ? -1 : 0;
}

/* ---------------------------------------------------------------- naming */

/* Note the names of a namespace and of those that it is in. */
static enum fmm_status
note_names(struct fmm_cache *cache, const struct fmm_call *call,
           const struct cache_object *space, uint64_t *scope_out)
{
    uint64_t around = 0;
    uint32_t generation;
    struct fmm_key key;
    enum fmm_status status = FMM_OK;
    if (space->parent->parent != NULL) {
        status = note_names(cache, call, space->parent, &around);
    }
    if (status != FMM_OK) {
        return status;
    }
    key_of_record(cache, space, around, &key);
    const struct fmm_key name = {.data = (const char *)key.data + 1,
                                 .len = key.len - 1,
                                 .scope = around};
    fmm_name_note(cache, call, &key, &name, FMM_NAMESPACE);
    status = fmm_group_find(cache, call, &key, &generation);
    if (status == FMM_OK) {
        *scope_out = fmm_group_scope(cache, &key, generation);
    }
    return status;
}

FMM_NOINLINE void
generation_note(const struct cache_object *self, const struct op *op)
{
    const struct mapping *map = self->root->map;
    struct fmm_call call = {.now_ms = op->call.now_ms};
    uint64_t scope;
    if (map != NULL && op->record_hash != 0 &&
        !fmm_name_noted(map->cache, op->record_hash, call.now_ms)) {
        note_names(map->cache, &call, self, &scope);
    }
}
