/* The table of faults, and the translation of a status into one. */
#include "server/base/errors.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

static const struct {
    unsigned status;
    const char *code, *type, *text;
} faults[] = {
    [FAULT_NONE] = {200, "", "", ""},
#define X(name, status, code, type, text) [FAULT_##name] = {status, code, type, text},
#include "server/base/errors.def"
};

unsigned fault_http_status(enum fault fault)
{
    return faults[fault].status;
}

const char *fault_code(enum fault fault)
{
    return faults[fault].code;
}

const char *fault_type(enum fault fault)
{
    return faults[fault].type;
}

const char *fault_text(enum fault fault)
{
    return faults[fault].text;
}

bool problem_set(struct problem *problem, enum fault fault, const char *param, const char *format,
                 ...)
{
    problem->fault = fault;
    problem->retry_after_s = 0;
    snprintf(problem->param, sizeof problem->param, "%s", param ? param : "");
    if (!format) {
        snprintf(problem->message, sizeof problem->message, "%s", fault_text(fault));
        return false;
    }
    va_list args;
    va_start(args, format);
    vsnprintf(problem->message, sizeof problem->message, format, args);
    va_end(args);
    return false;
}

static enum fault fault_of(enum status status)
{
    switch (status) {
    case STATUS_OK: return FAULT_NONE;
    case STATUS_BAD_FORMAT:
    case STATUS_BAD_VALUE:
    case STATUS_BAD_SHAPE: return FAULT_INVALID_VALUE;
    case STATUS_TOO_LONG: return FAULT_INPUT_TOO_LONG;
    case STATUS_UNSUPPORTED: return FAULT_UNSUPPORTED_FOR_MODEL;
    case STATUS_NO_MEMORY: return FAULT_NO_MEMORY;
    case STATUS_QUEUE_FULL: return FAULT_QUEUE_FULL;
    case STATUS_CLOSING: return FAULT_DRAINING;
    case STATUS_CANCELLED: return FAULT_CLIENT_CLOSED_REQUEST;
    case STATUS_DEADLINE: return FAULT_DEADLINE_EXCEEDED;
    case STATUS_BAD_GOLDEN:
    case STATUS_NOT_FOUND:
    case STATUS_IO:
    case STATUS_INTERNAL: return FAULT_INTERNAL;
    }
    return FAULT_INTERNAL;
}

bool problem_from(struct problem *problem, enum status status, const struct error *err,
                  const char *param)
{
    enum fault fault = fault_of(status);
    bool theirs = fault == FAULT_INVALID_VALUE || fault == FAULT_INPUT_TOO_LONG ||
                  fault == FAULT_UNSUPPORTED_FOR_MODEL;
    if (!err || !theirs || !err->message[0]) return problem_set(problem, fault, theirs ? param : NULL, NULL);
    return problem_set(problem, fault, err->param[0] ? err->param : param, "%s", err->message);
}
