/* Ids and the access log. */
#define _GNU_SOURCE /* getrandom */
#include "server/request/access.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "core/base/clock.h"
#include "server/base/json_writer.h"
#include "server/base/log.h"
#include "server/request/router.h"

enum { REFUSAL_BYTES = 1 << 16 };

/* 16 random bytes. The system is asked for many at a time. */
static bool take_random(uint64_t words[2])
{
    enum { WORDS = 32 };
    static _Thread_local uint64_t stock[WORDS];
    static _Thread_local size_t left;
    if (!left && getrandom(stock, sizeof stock, GRND_NONBLOCK) != (ssize_t)sizeof stock) return false;
    left = (left ? left : WORDS) - 2;
    words[0] = stock[left];
    words[1] = stock[left + 1];
    return true;
}

static char *put_hex(char *out, uint64_t word)
{
    for (int shift = 60; shift >= 0; shift -= 4) *out++ = "0123456789abcdef"[word >> shift & 15];
    return out;
}

const char *access_new_id(const char *prefix, char out[REQUEST_ID_BYTES])
{
    static _Atomic uint64_t counter;
    uint64_t words[2];
    if (!take_random(words)) {
        words[0] = (uint64_t)clock_us(); /* unique, which is all that an id must be */
        words[1] = counter++;
    }
    size_t n = strlen(prefix);
    assert(n + 33 <= REQUEST_ID_BYTES);
    memcpy(out, prefix, n);
    *put_hex(put_hex(out + n, words[0]), words[1]) = '\0';
    return out;
}

bool access_id_is_valid(const char *id)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._:/-";
    size_t n = strlen(id);
    return n && n < REQUEST_ID_BYTES && strspn(id, allowed) == n;
}

bool access_session_is_valid(const char *name)
{
    return access_id_is_valid(name) && !strchr(name, '/');
}

void access_take_id(const char *theirs, char out[REQUEST_ID_BYTES])
{
    if (theirs && access_id_is_valid(theirs)) memcpy(out, theirs, strlen(theirs) + 1);
    else access_new_id("req-", out);
}

/* n lowercase hexadecimal digits at *text, which moves behind them; `zero` says whether 0 alone is one. */
static bool take_hex(const char **text, size_t n, bool zero)
{
    static const char hex[] = "0123456789abcdef";
    const char *from = *text;
    if (strnlen(from, n) != n || strspn(from, hex) < n) return false;
    *text += n;
    return zero || strspn(from, "0") < n;
}

static bool take_dash(const char **text)
{
    return *(*text)++ == '-';
}

void access_take_trace(const char *traceparent, char out[TRACE_ID_BYTES])
{
    const char *at = traceparent;
    out[0] = '\0';
    if (!traceparent || !strncmp(traceparent, "ff", 2)) return;
    if (!take_hex(&at, 2, true) || !take_dash(&at) || !take_hex(&at, 32, false) || !take_dash(&at) ||
        !take_hex(&at, 16, false) || !take_dash(&at) || !take_hex(&at, 2, true))
        return;
    bool may_go_on = strncmp(traceparent, "00", 2) != 0; /* later versions may add fields */
    if (*at && (*at != '-' || !may_go_on)) return;
    memcpy(out, traceparent + 3, 32);
    out[32] = '\0';
}

char *request_error_body(const struct problem *problem, const char *request_id, bool plain, size_t *bytes)
{
    struct writer out;
    writer_init(&out, 8192);
    put_open(&out, '{');
    if (plain) {
        put_named_string(&out, "error", problem->message);
        put_close(&out, '}');
        return writer_take(&out, bytes);
    }
    put_name(&out, "error");
    put_open(&out, '{');
    put_named_string(&out, "message", problem->message);
    put_named_string(&out, "type", fault_type(problem->fault));
    put_name(&out, "param");
    if (problem->param[0]) put_string(&out, problem->param);
    else put_null(&out);
    put_named_string(&out, "code", fault_code(problem->fault));
    put_named_string(&out, "request_id", request_id);
    put_close(&out, '}');
    put_close(&out, '}');
    return writer_take(&out, bytes);
}

/* RFC 9110's phrases for what may refuse a request whose body has not ended. */
static const char *phrase_of(unsigned status)
{
    static const struct {
        unsigned status;
        const char *phrase;
    } phrases[] = {{404, "Not Found"}, {405, "Method Not Allowed"}, {408, "Request Timeout"},
                   {413, "Content Too Large"}, {415, "Unsupported Media Type"}, {503, "Service Unavailable"}};
    for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++)
        if (phrases[i].status == status) return phrases[i].phrase;
    return "Refused";
}

char *request_refusal(const struct head *head, const char *body, size_t body_bytes, size_t *bytes)
{
    struct writer out;
    char line[80];
    writer_init(&out, REFUSAL_BYTES);
    snprintf(line, sizeof line, "HTTP/1.1 %u %s\r\nContent-Length: %zu\r\n", head->status,
             phrase_of(head->status), body_bytes);
    put_raw(&out, line, strlen(line));
    for (size_t i = 0; i < head->n; i++) {
        put_raw(&out, head->headers[i].name, strlen(head->headers[i].name));
        put_raw(&out, ": ", 2);
        put_raw(&out, head->headers[i].value, strlen(head->headers[i].value));
        put_raw(&out, "\r\n", 2);
    }
    put_raw(&out, "\r\n", 2);
    put_raw(&out, body, body_bytes);
    return writer_take(&out, bytes);
}

void access_write(const struct access *access)
{
    const struct request *request = access->request;
    const struct record *record = &request->record;
    char at[LOG_TIME_BYTES];
    struct writer line;
    writer_init(&line, LOG_JSON_BYTES);
    put_open(&line, '{');
    put_named_string(&line, "ts", log_time(at));
    put_named_string(&line, "level", "info");
    put_named_string(&line, "request_id", request->id);
    put_named_string(&line, "trace_id", access->trace_id);
    put_named_string(&line, "method", access->method);
    put_named_string(&line, "route", route_path(request->route));
    put_named_integer(&line, "status", access->status);
    put_named_string(&line, "model", record->model);
    put_named_string(&line, "task", record->task ? record->task : "");
    put_named_integer(&line, "bytes_in", (int64_t)access->bytes_in);
    put_named_integer(&line, "bytes_out", (int64_t)access->bytes_out);
    put_named_integer(&line, "steps_in", (int64_t)record->steps_in);
    put_named_integer(&line, "steps_out", (int64_t)record->steps_out);
    put_named_rounded(&line, "queue_ms", record->queue_ms);
    put_named_rounded(&line, "ttft_ms", record->first_ms);
    put_named_rounded(&line, "total_ms", access->total_ms);
    put_named_rounded(&line, "mean_batch", record->mean_batch);
    put_named_string(&line, "finish", record->finish ? record->finish : "");
    put_named_string(&line, "key", access->key);
    put_close(&line, '}');
    if (!writer_failed(&line)) log_json(line.text, line.n);
    writer_release(&line);
}
