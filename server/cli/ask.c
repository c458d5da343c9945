#include "server/cli/ask.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "server/request/router.h"

enum { STREAM_BYTES = 4096, REREAD_MS = 20 };

/* A request whose carrier is a condition variable. */
struct asking {
    struct request request; /* first */
    pthread_mutex_t mu;     /* guards the rest */
    pthread_cond_t changed;
    bool progressed, finished;
};

static void signal_news(struct asking *asking, bool *what)
{
    pthread_mutex_lock(&asking->mu);
    *what = true;
    pthread_cond_signal(&asking->changed);
    pthread_mutex_unlock(&asking->mu);
}

static void progressed(void *request)
{
    struct asking *asking = request;
    signal_news(asking, &asking->progressed);
}

static void finished(void *request)
{
    struct asking *asking = request;
    signal_news(asking, &asking->finished);
}

static bool is_finished(struct request *request)
{
    struct asking *asking = (struct asking *)request;
    pthread_mutex_lock(&asking->mu);
    bool is = asking->finished;
    pthread_mutex_unlock(&asking->mu);
    return is;
}

static const struct carrier carrier = {progressed, finished, is_finished};

/* Wait for the end, or for progress if that counts, or `ms` at most; 0: for any time. */
static void wait_news(struct asking *asking, bool progress_counts, int64_t ms)
{
    struct timespec until = clock_timespec_in(ms);
    int error = 0;
    pthread_mutex_lock(&asking->mu);
    while (!asking->finished && !(progress_counts && asking->progressed) && !error)
        error = ms ? pthread_cond_timedwait(&asking->changed, &asking->mu, &until)
                   : pthread_cond_wait(&asking->changed, &asking->mu);
    asking->progressed = false;
    pthread_mutex_unlock(&asking->mu);
}

static void print_stream(struct asking *asking)
{
    struct request *request = &asking->request;
    char bytes[STREAM_BYTES];
    for (;;) {
        size_t n = 0;
        int64_t due_us = 0;
        switch (request->operation->read(request->work, request, bytes, sizeof bytes, &n, &due_us)) {
        case STREAM_DATA:
            fwrite(bytes, 1, n, stdout);
            fflush(stdout);
            break;
        case STREAM_WAIT: wait_news(asking, true, REREAD_MS); break;
        case STREAM_END: return;
        }
    }
}

static int print_reply(struct asking *asking, struct reply *reply)
{
    if (reply->problem.fault != FAULT_NONE) {
        fprintf(stderr, "carousel: %s\n", reply->problem.message);
        return 1;
    }
    if (reply->stream) {
        print_stream(asking);
        return asking->request.closes ? 1 : 0;
    }
    if (reply->body) fwrite(reply->body, 1, reply->body_bytes, stdout);
    bool is_line = reply->body_bytes && reply->body[reply->body_bytes - 1] == '\n';
    if (reply->body && !is_line) putchar('\n');
    return reply->status >= 400 ? 1 : 0;
}

/* Run what a handler left to be done later, up to its answer. */
static void run_operation(struct asking *asking, struct reply *reply)
{
    struct request *request = &asking->request;
    if (!request->operation->start(request->work, &reply->problem)) return;
    wait_news(asking, request->operation->read != NULL, 0);
    request->operation->answer(request->work, request, reply);
}

int ask(struct server *server, const char *path, const char *body, size_t bytes)
{
    struct match match;
    struct reply reply = {0};
    struct asking asking = {.request = {.server = server, .carrier = &carrier, .id = "", .owner = "",
                                        .body = body ? body : "", .body_bytes = bytes,
                                        .began_us = clock_us(), .caller = {.weight = 1}, .session_step = -1}};
    const char *method = body ? "POST" : "GET";
    route_find(method, path, &match);
    pthread_mutex_init(&asking.mu, NULL);
    pthread_cond_init(&asking.changed, NULL);
    asking.request.route = match.route;
    asking.request.tail = match.tail;
    if (route_check(&match, &(struct arrival){.method = method, .path = path}, &reply.problem))
        route_handler(match.route)(&asking.request, &reply);
    if (asking.request.operation && reply.problem.fault == FAULT_NONE) run_operation(&asking, &reply);
    int code = print_reply(&asking, &reply);
    if (asking.request.operation) asking.request.operation->free(asking.request.work);
    free(reply.body);
    return code;
}
