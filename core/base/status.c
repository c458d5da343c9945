#include "core/base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *status_text(enum status status)
{
    static const char *const texts[] = {
#define X(name, text) [STATUS_##name] = (text),
#include "status.def"
    };
    return (size_t)status < sizeof texts / sizeof *texts ? texts[status] : "unknown status";
}

static void error_write(struct error *err, enum status status, const char *param,
                        const char *format, va_list args)
{
    if (!err) return;
    err->status = status;
    snprintf(err->param, sizeof err->param, "%s", param);
    vsnprintf(err->message, sizeof err->message, format, args);
}

enum status error_set(struct error *err, enum status status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error_write(err, status, "", format, args);
    va_end(args);
    return status;
}

enum status error_set_param(struct error *err, enum status status, const char *param,
                            const char *format, ...)
{
    va_list args;
    va_start(args, format);
    error_write(err, status, param, format, args);
    va_end(args);
    return status;
}

void error_prefix(struct error *err, const char *format, ...)
{
    if (!err) return;
    char tail[ERROR_MESSAGE_BYTES];
    memcpy(tail, err->message, sizeof tail);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    if (n < 0 || (size_t)n >= sizeof err->message) return;
    int room = (int)sizeof err->message - n - 3;
    if (room > 0) snprintf(err->message + n, sizeof err->message - (size_t)n, ": %.*s", room, tail);
}
