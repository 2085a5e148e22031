#include "py_holding.h"

struct holding *
holding_new(PyObject *name)
{
    struct holding *holding = PyMem_Calloc(1, sizeof(*holding));
    if (holding == NULL) {
        PyErr_NoMemory();
        return NULL;
    }
    holding->name = Py_NewRef(name);
    return holding;
}

bool
holding_is_mine(const struct holding *holding)
{
    return holding->map != NULL && holding->forks == fmm_forks();
}

void
holding_drop(struct holding *holding)
{
    struct mapping *map = holding->map;
    holding->map = NULL;
    if (map != NULL) {
        mapping_unpin(map);
    }
}

/* Without giving anything back. */
static void
discard(struct holding *holding)
{
    holding_drop(holding);
    Py_XDECREF(holding->name);
    Py_XDECREF(holding->caller);
    PyMem_Free(holding);
}

void
holding_free(struct module_state *state, struct holding *holding)
{
    holding_release(state, holding);
    discard(holding);
}

/* -------------------------------------------------------------- giving back */

/* The call that ends a lease; waits for nothing. */
static enum fmm_status
end(const struct holding *holding, bool *sure)
{
    const struct fmm_call call = {.now_ms = fmm_now_ms()};
    return fmm_lease_release(holding->map->cache, &call, &holding->key,
                             holding->token, sure);
}

/* Remember a lease whose page somebody had when it was ended: should that one
 * be killed at the very moment, it may come back. */
static void
remember(struct module_state *state, struct holding *holding)
{
    struct holding *unsure = PyMem_Calloc(1, sizeof(*unsure));
    if (unsure != NULL) {
        *unsure = *holding;
        unsure->caller = NULL;
        Py_INCREF(unsure->name);
        mapping_pin(unsure->map);
        unsure->next = state->unsure;
        state->unsure = unsure;
    }
}

bool
holding_release(struct module_state *state, struct holding *holding)
{
    enum fmm_status status = FMM_MISS;
    bool sure = true;
    if (holding_is_mine(holding)) {
        status = end(holding, &sure);
        if (!sure) {
            remember(state, holding);
        }
    }
    holding_drop(holding);
    return status == FMM_OK || status == FMM_BUSY;
}

void
holding_confirm_all(struct module_state *state)
{
    struct holding **place = &state->unsure;
    while (*place != NULL) {
        struct holding *unsure = *place;
        bool sure = true;
        if (holding_is_mine(unsure)) {
            end(unsure, &sure);
        }
        if (sure) {
            *place = unsure->next;
            discard(unsure);
        }
        else {
            place = &unsure->next;
        }
    }
}

void
holding_forget_all(struct module_state *state)
{
    holding_confirm_all(state);
    while (state->unsure != NULL) {
        struct holding *unsure = state->unsure;
        state->unsure = unsure->next;
        discard(unsure);
    }
}
