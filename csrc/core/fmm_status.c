#include "fmm_status.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum fmm_status
fmm_error_set(struct fmm_error *error, enum fmm_status status, int errnum,
              const char *format, ...)
{
    if (error != NULL) {
        va_list arguments;
        error->status = status;
        error->errnum = errnum;
        va_start(arguments, format);
        vsnprintf(error->text, sizeof(error->text), format, arguments);
        va_end(arguments);
    }
    return status;
}

enum fmm_status
fmm_error_os(struct fmm_error *error, const char *what)
{
    int saved = errno;
    return fmm_error_set(error, FMM_ERR_OS, saved, "%s: %s", what,
                         strerror(saved));
}
