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
    ask_reader *read;       /* what becomes of the answer */
    void *context;
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

static void read_stream(struct asking *asking)
{
    struct request *request = &asking->request;
    char bytes[STREAM_BYTES];
    for (;;) {
        size_t n = 0;
        int64_t due_us = 0;
        switch (request->operation->read(request->work, request, bytes, sizeof bytes, &n, &due_us)) {
        case STREAM_DATA:
            asking->read(asking->context, bytes, n);
            break;
        case STREAM_WAIT: wait_news(asking, true, REREAD_MS); break;
        case STREAM_END: return;
        }
    }
}

static int read_reply(struct asking *asking, struct reply *reply)
{
    if (reply->problem.fault != FAULT_NONE) {
        fprintf(stderr, "carousel: %s\n", reply->problem.message);
        return 1;
    }
    if (reply->stream) {
        read_stream(asking);
        return asking->request.closes ? 1 : 0;
    }
    if (reply->body) asking->read(asking->context, reply->body, reply->body_bytes);
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

int ask_reading(struct server *server, const char *path, const char *body, size_t bytes, ask_reader *read,
                void *context)
{
    struct match match;
    struct reply reply = {0};
    struct asking asking = {.read = read, .context = context,
                            .request = {.server = server, .carrier = &carrier, .id = "", .owner = "",
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
    int code = read_reply(&asking, &reply);
    if (asking.request.operation) asking.request.operation->free(asking.request.work);
    free(reply.body);
    return code;
}

/* *context is the last byte. */
static void print_bytes(void *context, const char *bytes, size_t n)
{
    char *last = context;
    fwrite(bytes, 1, n, stdout);
    fflush(stdout);
    if (n) *last = bytes[n - 1];
}

int ask(struct server *server, const char *path, const char *body, size_t bytes)
{
    char last = '\n';
    int code = ask_reading(server, path, body, bytes, print_bytes, &last);
    if (last != '\n') putchar('\n');
    return code;
}
