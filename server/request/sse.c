#include "server/request/sse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/request/access.h"

void sse_write_head(struct head *head)
{
    head_add(head, "Cache-Control", "no-cache");
    head_add(head, "X-Accel-Buffering", "no");
}

void sse_init(struct sse *sse, size_t limit)
{
    writer_init(&sse->out, limit);
    sse->sent = 0;
}

void sse_release(struct sse *sse)
{
    writer_release(&sse->out);
}

static void put_text(struct sse *sse, const char *text)
{
    put_raw(&sse->out, text, strlen(text));
}

void sse_id(struct sse *sse, uint64_t id)
{
    char line[32];
    snprintf(line, sizeof line, "id: %llu\n", (unsigned long long)id);
    put_text(sse, line);
}

void sse_begin(struct sse *sse)
{
    put_text(sse, "data: ");
    sse->out.need_comma = false;
}

void sse_end(struct sse *sse)
{
    put_text(sse, "\n\n");
}

void sse_ping(struct sse *sse)
{
    put_text(sse, ": ping\n\n");
}

void sse_done(struct sse *sse)
{
    put_text(sse, "data: [DONE]\n\n");
}

void sse_error(struct sse *sse, const struct problem *problem, const char *request_id)
{
    size_t bytes;
    char *body = request_error_body(problem, request_id, false, &bytes);
    sse_begin(sse);
    if (body) put_raw(&sse->out, body, bytes);
    sse_end(sse);
    free(body);
}

size_t sse_event_bytes(const char *text, size_t n)
{
    for (size_t end = 0; end + 1 < n; end++)
        if (text[end] == '\n' && text[end + 1] == '\n') return end + 2;
    return 0;
}

bool sse_is_empty(const struct sse *sse)
{
    return sse->sent == sse->out.n;
}

size_t sse_drain(struct sse *sse, char *to, size_t room)
{
    size_t n = sse->out.n - sse->sent;
    if (n > room) n = room;
    if (n) memcpy(to, sse->out.text + sse->sent, n);
    sse->sent += n;
    if (sse->sent == sse->out.n) {
        writer_clear(&sse->out);
        sse->sent = 0;
    }
    return n;
}
