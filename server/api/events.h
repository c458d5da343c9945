/* events: the answer of a job sent as server-sent events while the job runs.
 *
 * Each time libmicrohttpd has room, the owner's gather() writes what is new. After a send it waits chunk_ms
 * before the next, so that a fast model does not spend its time in system calls; the first text and the end
 * never wait. Nothing is gathered while the socket accepts nothing.
 *
 * A stream begins with the first progress, so that a job which fails before it still gets a plain HTTP error.
 * Owned by the work; the connection's HTTP thread, one at a time. */
#ifndef CAROUSEL_SERVER_EVENTS_H
#define CAROUSEL_SERVER_EVENTS_H

#include "server/api/work.h"
#include "server/request/sse.h"

struct events {
    struct sse sse;
    int64_t last_us;        /* when something was last sent */
    bool over;              /* the last event is in the buffer */
};

struct events_calls {
    /* Write what is new to events->sse; true if there was anything. */
    bool (*gather)(void *work);
    /* The job has ended well: the last events, without [DONE]. false: *problem ends the stream. */
    bool (*conclude)(void *work, struct request *request, struct problem *problem);
};

/* At most `limit` bytes are gathered at one time; more end the stream. */
void events_init(struct events *events, size_t limit);
void events_release(struct events *events);

/* For the operation's read. */
enum stream_step events_read(struct events *events, const struct events_calls *calls, struct work *work,
                             struct request *request, char *out, size_t room, size_t *n, int64_t *due_us);
/* The operation's answer, for a work that begins with a struct work. */
void events_answer(void *work, struct request *request, struct reply *reply);

#endif
