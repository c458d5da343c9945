#include "server/body.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_BYTES = 4096 };

static bool reserve(struct body *body, struct body_total *total, size_t bytes)
{
    if (bytes <= body->capacity) return true;
    size_t capacity = body->capacity ? body->capacity : FIRST_BYTES;
    while (capacity < bytes) capacity *= 2;
    int64_t more = (int64_t)(capacity - body->capacity);
    if (atomic_fetch_add(&total->bytes, more) + more <= total->limit) {
        char *moved = realloc(body->bytes, capacity);
        if (moved) {
            body->bytes = moved;
            body->capacity = capacity;
            return true;
        }
    }
    atomic_fetch_sub(&total->bytes, more);
    return false;
}

bool body_total_take(struct body_total *total, size_t bytes, size_t *taken, struct problem *problem)
{
    int64_t n = (int64_t)bytes;
    if (atomic_fetch_add(&total->bytes, n) + n <= total->limit || bytes <= BODY_SMALL_BYTES) {
        *taken += bytes;
        return true;
    }
    body_total_give(total, bytes);
    return problem_set(
        problem, FAULT_NO_MEMORY, NULL,
        "the answers that wait for their readers are over %lld bytes with this one (limits.replies_bytes)",
        (long long)total->limit);
}

void body_total_give(struct body_total *total, size_t bytes)
{
    atomic_fetch_sub(&total->bytes, (int64_t)bytes);
}

bool body_append(struct body *body, struct body_total *total, const char *bytes, size_t n)
{
    if (!reserve(body, total, body->n + n)) return false;
    if (n) memcpy(body->bytes + body->n, bytes, n);
    body->n += n;
    return true;
}

void body_release(struct body *body, struct body_total *total)
{
    atomic_fetch_sub(&total->bytes, (int64_t)body->capacity);
    free(body->bytes);
    *body = (struct body){0};
}

bool body_too_large(const struct config *config, struct problem *problem)
{
    return problem_set(problem, FAULT_PAYLOAD_TOO_LARGE, NULL,
                       "the body is longer than %lld bytes (limits.body_bytes)",
                       (long long)config->limits_body_bytes);
}
