/* metrics: what the server has counted, in Prometheus' text format.
 *
 * Counting is a relaxed atomic addition and may be done by any thread at any time; nothing here locks or
 * fails, except metrics_print, which allocates. Labels are few and bounded: they come from the tables
 * of routes, faults and reasons, and from the models that are or were served, never from what a client sent.
 *
 * A request is counted when its answer is handed to the connection (a stream: when it has ended), so that a
 * client that has read an answer finds it counted. Gauges and the scheduler's counters are read when they are
 * printed. The numbers are since start; each is right by itself, two of them may be an instant apart. */
#ifndef CAROUSEL_SERVER_METRICS_H
#define CAROUSEL_SERVER_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "server/base/errors.h"
#include "server/base/json_writer.h"
#include "server/request/request.h"

struct metrics;
struct server;

enum { METRICS_MAX_MODELS = 64 };

enum counter {
#define COUNTER(symbol, name, help) COUNTER_##symbol,
#define HISTOGRAM(symbol, name, help, ...)
#define COMPUTED(symbol, name, type, help)
#include "server/request/metrics.def"
    N_COUNTERS
};

enum histogram {
#define COUNTER(symbol, name, help)
#define HISTOGRAM(symbol, name, help, ...) HISTOGRAM_##symbol,
#define COMPUTED(symbol, name, type, help)
#include "server/request/metrics.def"
    N_HISTOGRAMS
};

/* Why a request for a model ended; the names are metrics_end_name's. */
enum end { END_STOP, END_LENGTH, END_COMPLETE, END_CANCELLED, END_DEADLINE, END_ERROR, N_ENDS };
const char *metrics_end_name(enum end end);

/* NULL without memory. The caller owns it; metrics_free accepts NULL. */
struct metrics *metrics_new(void);
void metrics_free(struct metrics *metrics);

void metrics_add(struct metrics *metrics, enum counter counter, uint64_t n);
/* Not for HISTOGRAM_DURATION. */
void metrics_observe(struct metrics *metrics, enum histogram histogram, double value);
/* Count an answer; HISTOGRAM_DURATION gets its seconds. `model` is the "name" or "name:version" of a model
 * that is or was served, never what a client wrote, and "" for a request without one. The first
 * METRICS_MAX_MODELS names have counters of their own until the end. Requests for further names, or if there
 * is no memory for counters, count as without a model. */
void metrics_count_request(struct metrics *metrics, enum route_id route, const char *model,
                           unsigned http_status, double seconds);
void metrics_count_end(struct metrics *metrics, enum end end);
/* What GET /v2/models/{id}/stats tells of a model's requests, since the start. */
enum { METRICS_BATCHES = 64 };
struct metrics_model {
    uint64_t succeeded, failed, executions, last_ms; /* last_ms: Unix milliseconds of the last that succeeded
                                                      * */
    uint64_t total_ns, failed_ns, queue_ns, compute_ns;
    uint64_t batches[METRICS_BATCHES], batch_ns[METRICS_BATCHES]; /* by mean batch, from 1 on; the last has
                                                                   * the rest */
};
/* Count a request of a model by its record. */
void metrics_count_model(struct metrics *metrics, const struct record *record, unsigned http_status,
                         int64_t began_us);
/* Zeros for a model that was not asked. */
void metrics_read_model(const struct metrics *metrics, const char *name, struct metrics_model *out);

/* A request was answered with `fault` without having been started: counted if the server refused for want
 * of room or time. So the requests on a route that computes are those finished, those rejected, and the
 * client's errors. */
void metrics_count_fault(struct metrics *metrics, enum fault fault);

/* Everything, as text/plain; version=0.0.4. server->scheduler and server->registry may be NULL.
 * Without memory for all of it `out` has failed. */
void metrics_print(const struct metrics *metrics, const struct server *server,
                   struct writer *out);

#endif
