/* step: one message of a WebSocket as a request of one of the routes under /v1, which is handled as if it
 * had come by HTTP: the same checks, quotas, limits, counts and line of the access log. Private to
 * server/stream/.
 *
 *   step_begin -> [answered at once] -> over
 *              `-> busy -> step_go_on* -> over
 *
 * What it answers goes to talk_answer (server/stream/talk.h), or, event by event, to talk_event. On the
 * streams' thread; workers mark the step under the streams' mutex and wake the thread. */
#ifndef CAROUSEL_SERVER_STEP_H
#define CAROUSEL_SERVER_STEP_H

#include "server/base/json_writer.h"
#include "server/request/access.h"
#include "server/request/account.h"
#include "server/request/request.h"

struct channel;

struct step {
    struct request request; /* first */
    struct account account;
    char id[REQUEST_ID_BYTES];
    uint64_t number;        /* of the channel's messages */
    uint64_t bytes_in, bytes_out;
    unsigned status;
    bool is_busy;           /* begun and not over */
    bool is_streaming;      /* its events are being read */
    bool is_told;           /* it has been answered, and waits for its operation to end */
    struct writer events;   /* bytes that are no whole event yet */
    int64_t due_us;         /* of a stream: when to read again; 0: at progress */
    /* guarded by the streams' mutex */
    bool has_started, has_finished, has_progressed, is_cancelled;
};

/* Handle body[0..n), borrowed for the call, as a POST of `route`, or a GET if the route is one; `tail` as in
 * struct request, and `session` the name that X-Session-Id would give ("": none). */
void step_begin(struct channel *channel, enum route_id route, const char *tail, const char *session,
                const char *body, size_t n);
/* Look whether a busy step can go on, and let it. false: it could not. */
bool step_go_on(struct channel *channel, int64_t now_us);
/* Ask a busy step to end soon. */
void step_cancel(struct channel *channel);

#endif
