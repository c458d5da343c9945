#include "server/request/body.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_BYTES = 4096 };

/* ---- what all hold --------------------------------------------------------------------------- */

void body_total_open(struct body_total *total, int64_t limit, const char *setting)
{
    *total = (struct body_total){.limit = limit, .setting = setting};
    pthread_mutex_init(&total->_mu, NULL);
}

void body_total_close(struct body_total *total)
{
    pthread_mutex_destroy(&total->_mu);
}

static struct holding **row_of(struct body_total *total, const struct holding *holding)
{
    return &total->_rows[holding->client % BODY_ROWS];
}

/* mu held. What the client holds besides `holding`. */
static int64_t held_besides(struct body_total *total, const struct holding *holding)
{
    int64_t bytes = 0;
    for (const struct holding *other = *row_of(total, holding); other; other = other->next)
        if (other != holding && other->client == holding->client) bytes += (int64_t)other->bytes;
    return bytes;
}

/* mu held. */
static bool fits(struct body_total *total, const struct holding *holding, size_t bytes)
{
    if (bytes <= BODY_SMALL_BYTES) return true;
    int64_t free = total->limit - atomic_load(&total->bytes) - (int64_t)(bytes - holding->bytes);
    if (free < 0) return false;
    int64_t others = held_besides(total, holding);
    return !others || others + (int64_t)bytes <= free;
}

bool body_total_hold(struct body_total *total, struct holding *holding, size_t bytes,
                     struct problem *problem)
{
    pthread_mutex_lock(&total->_mu);
    bool held = fits(total, holding, bytes);
    if (held) {
        struct holding **row = row_of(total, holding);
        if (!holding->bytes && bytes) {
            holding->next = *row;
            *row = holding;
        }
        atomic_fetch_add(&total->bytes, (int64_t)(bytes - holding->bytes));
        holding->bytes = bytes;
    }
    pthread_mutex_unlock(&total->_mu);
    return held || problem_set(problem, FAULT_NO_MEMORY, NULL,
                               "%zu bytes more are over %s, or over what one client may hold of it; "
                               "expected less at a time; come back later",
                               bytes, total->setting);
}

void body_total_give(struct body_total *total, struct holding *holding)
{
    if (!holding->bytes) return;
    pthread_mutex_lock(&total->_mu);
    struct holding **at = row_of(total, holding);
    while (*at != holding) at = &(*at)->next;
    *at = holding->next;
    atomic_fetch_sub(&total->bytes, (int64_t)holding->bytes);
    holding->bytes = 0;
    pthread_mutex_unlock(&total->_mu);
}

/* ---- one body -------------------------------------------------------------------------------- */

bool body_reserve(struct body *body, struct body_total *total, size_t bytes, struct problem *problem)
{
    if (bytes <= body->room.bytes) return true;
    char *larger = malloc(bytes);
    if (!larger) return problem_set(problem, FAULT_NO_MEMORY, NULL, NULL);
    if (!body_total_hold(total, &body->room, bytes, problem)) {
        free(larger);
        return false;
    }
    if (body->n) memcpy(larger, body->bytes, body->n);
    free(body->bytes);
    body->bytes = larger;
    return true;
}

bool body_append(struct body *body, struct body_total *total, const char *bytes, size_t n,
                 struct problem *problem)
{
    size_t needed = body->n + n, room = body->room.bytes;
    if (needed > room && needed < 2 * room) needed = 2 * room;
    if (needed > room && needed < FIRST_BYTES) needed = FIRST_BYTES;
    if (!body_reserve(body, total, needed, problem)) return false;
    if (n) memcpy(body->bytes + body->n, bytes, n);
    body->n += n;
    return true;
}

void body_move(struct body *to, struct body *from, struct body_total *total)
{
    pthread_mutex_lock(&total->_mu);
    struct holding **at = row_of(total, &from->room);
    while (*at && *at != &from->room) at = &(*at)->next;
    *to = *from;
    if (*at) *at = &to->room;
    pthread_mutex_unlock(&total->_mu);
    *from = (struct body){.room.client = to->room.client};
}

void body_release(struct body *body, struct body_total *total)
{
    free(body->bytes);
    body_total_give(total, &body->room);
    *body = (struct body){.room.client = body->room.client};
}

uint64_t body_most(int64_t limit, bool wanted)
{
    return (uint64_t)(wanted || limit < BODY_SMALL_BYTES ? limit : BODY_SMALL_BYTES);
}

bool body_too_large(uint64_t most, struct problem *problem)
{
    return problem_set(problem, FAULT_PAYLOAD_TOO_LARGE, NULL,
                       "the body is longer than %llu bytes (limits.body_bytes, or 65536 if none is expected)",
                       (unsigned long long)most);
}
