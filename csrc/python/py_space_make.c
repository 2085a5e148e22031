/* A namespace without a generation gets one, which may need room. */
#include "py_space.h"
#include "py_writeback.h"

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
    int status = writeback_call(self, &s.op, space_run, &s.ticket);
    if (status != FMM_OK) {
        return status < 0 ? -1 : space_raise_no_room(self);
    }
    space_set_scope(op, s.op.key.scope);
    return 0;
}
