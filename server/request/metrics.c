/* Counters and their text. */
#include "server/request/metrics.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/kernels/kernels.h"
#include "core/base/memory.h"
#include "models/jobs/job.h"
#include "server/base/log.h"
#include "server/request/router.h"
#include "server/request/server.h"
#include "server/sessions/prefixes.h"
#include "server/sessions/store.h"

enum { MAX_BOUNDS = 24, FIRST_STATUS = 100, N_STATUSES = 500 };

/* Buckets are counted apart and summed when printed; the sum is in nanounits, so that it can be an
 * integer. */
struct histogram_counts {
    atomic_uint_fast64_t bucket[MAX_BOUNDS + 1], sum_nano;
};

/* The requests for one model. */
struct model_counts {
    char model[MODEL_NAME_BYTES + 1];                /* "" in the first */
    struct histogram_counts durations[N_ROUTES + 1]; /* HISTOGRAM_DURATION, by route */
    atomic_uint_fast64_t requests[N_ROUTES + 1][N_STATUSES];
    /* struct metrics_model, member by member */
    atomic_uint_fast64_t succeeded, failed, last_ms, total_ns, failed_ns, queue_ns, compute_ns;
    atomic_uint_fast64_t batches[METRICS_BATCHES], batch_ns[METRICS_BATCHES];
};

struct metrics {
    atomic_uint_fast64_t counters[N_COUNTERS];
    struct histogram_counts histograms[N_HISTOGRAMS];
    struct model_counts plain;                            /* requests without a model */
    _Atomic(struct model_counts *) models[METRICS_MAX_MODELS]; /* in the order of their coming, then NULL */
    atomic_uint_fast64_t ends[N_ENDS];
    atomic_uint_fast64_t faults[N_FAULTS];
};

static const struct {
    const char *name;
    double bounds[MAX_BOUNDS];
} histograms[] = {
#define COUNTER(symbol, name, help)
#define HISTOGRAM(symbol, name, help, ...) [HISTOGRAM_##symbol] = {name, __VA_ARGS__},
#define COMPUTED(symbol, name, type, help)
#include "server/request/metrics.def"
};

static const char *const end_names[] = {
    [END_STOP] = "stop",           [END_LENGTH] = "length",     [END_COMPLETE] = "complete",
    [END_CANCELLED] = "cancelled", [END_DEADLINE] = "deadline", [END_ERROR] = "error"};

const char *metrics_end_name(enum end end)
{
    return end_names[end];
}

struct metrics *metrics_new(void)
{
    return calloc(1, sizeof(struct metrics));
}

void metrics_free(struct metrics *metrics)
{
    for (size_t i = 0; metrics && i < METRICS_MAX_MODELS; i++) free(atomic_load(&metrics->models[i]));
    free(metrics);
}

static void add(atomic_uint_fast64_t *counter, uint64_t n)
{
    atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static uint64_t load(const atomic_uint_fast64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void metrics_add(struct metrics *metrics, enum counter counter, uint64_t n)
{
    add(&metrics->counters[counter], n);
}

static void observe(struct histogram_counts *counts, enum histogram histogram, double value)
{
    const double *bounds = histograms[histogram].bounds;
    size_t i = 0;
    if (!(value >= 0) || value > 1e9) return;
    while (i < MAX_BOUNDS && bounds[i] > 0 && value > bounds[i]) i++;
    add(&counts->bucket[i], 1);
    add(&counts->sum_nano, (uint64_t)(value * 1e9));
}

void metrics_observe(struct metrics *metrics, enum histogram histogram, double value)
{
    observe(&metrics->histograms[histogram], histogram, value);
}

/* Return the counts in a place. If it is free, put `model` there, unless another thread does so with its own
 * first. NULL without memory. */
static struct model_counts *counts_at(_Atomic(struct model_counts *) *place, const char *model, size_t bytes)
{
    struct model_counts *found = atomic_load(place);
    if (found) return found;
    struct model_counts *counts = calloc(1, sizeof *counts);
    if (!counts) return NULL;
    memcpy(counts->model, model, bytes);
    if (atomic_compare_exchange_strong(place, &found, counts)) return counts;
    free(counts);
    return found;
}

/* `model` is "name" or "name:version". Return the counts without a model if there is none, no place or no
 * memory. */
static struct model_counts *counts_of(struct metrics *metrics, const char *model)
{
    size_t bytes = strcspn(model, ":");
    if (!bytes || bytes > MODEL_NAME_BYTES) return &metrics->plain;
    for (size_t i = 0; i < METRICS_MAX_MODELS; i++) {
        struct model_counts *counts = counts_at(&metrics->models[i], model, bytes);
        if (!counts) break;
        if (!strncmp(counts->model, model, bytes) && !counts->model[bytes]) return counts;
    }
    return &metrics->plain;
}

void metrics_count_request(struct metrics *metrics, enum route_id route, const char *model,
                           unsigned http_status, double seconds)
{
    struct model_counts *counts = counts_of(metrics, model);
    observe(&counts->durations[route], HISTOGRAM_DURATION, seconds);
    if (http_status >= FIRST_STATUS && http_status < FIRST_STATUS + N_STATUSES)
        add(&counts->requests[route][http_status - FIRST_STATUS], 1);
}

static uint64_t ns_of(double ms)
{
    return ms > 0 ? (uint64_t)(ms * 1e6) : 0;
}

void metrics_count_model(struct metrics *metrics, const struct record *record, unsigned http_status,
                         int64_t began_us)
{
    struct model_counts *counts = counts_of(metrics, record->model);
    uint64_t total = ns_of(clock_ms_since(began_us));
    struct timespec now;
    if (http_status != 200) {
        add(&counts->failed, 1);
        add(&counts->failed_ns, total);
        return;
    }
    size_t batch = record->mean_batch > 1 ? (size_t)(record->mean_batch + 0.5) - 1 : 0;
    if (batch >= METRICS_BATCHES) batch = METRICS_BATCHES - 1;
    clock_gettime(CLOCK_REALTIME, &now);
    add(&counts->succeeded, 1);
    add(&counts->total_ns, total);
    add(&counts->queue_ns, ns_of(record->queue_ms));
    add(&counts->compute_ns, ns_of(record->compute_ms));
    add(&counts->batches[batch], 1);
    add(&counts->batch_ns[batch], ns_of(record->compute_ms));
    atomic_store(&counts->last_ms, (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000);
}

/* An execution serves as many requests as its batch has. */
void metrics_read_model(const struct metrics *metrics, const char *name, struct metrics_model *out)
{
    double executions = 0;
    *out = (struct metrics_model){0};
    for (size_t i = 0; i < METRICS_MAX_MODELS; i++) {
        const struct model_counts *counts = atomic_load(&metrics->models[i]);
        if (!counts) return;
        if (strcmp(counts->model, name)) continue;
        *out = (struct metrics_model){
            .succeeded = load(&counts->succeeded), .failed = load(&counts->failed),
            .last_ms = load(&counts->last_ms), .total_ns = load(&counts->total_ns),
            .failed_ns = load(&counts->failed_ns), .queue_ns = load(&counts->queue_ns),
            .compute_ns = load(&counts->compute_ns)};
        for (size_t b = 0; b < METRICS_BATCHES; b++) {
            out->batches[b] = load(&counts->batches[b]);
            out->batch_ns[b] = load(&counts->batch_ns[b]);
            executions += (double)out->batches[b] / (double)(b + 1);
        }
        out->executions = (uint64_t)(executions + 0.5);
        return;
    }
}

void metrics_count_end(struct metrics *metrics, enum end end)
{
    add(&metrics->ends[end], 1);
}

/* Without being at fault themselves, such requests were not computed. */
static bool is_refusal(enum fault fault)
{
    unsigned status = fault_http_status(fault);
    return status == 413 || status == 429 || status == 503 || status == 504;
}

void metrics_count_fault(struct metrics *metrics, enum fault fault)
{
    if (is_refusal(fault)) add(&metrics->faults[fault], 1);
}

/* ---- printing ------------------------------------------------------------------------------- */

struct printing {
    const struct metrics *metrics;
    const struct server *server;
    struct scheduler_stats stats;
    struct store_stats kept;
    struct prefixes_stats prefixes;
    struct writer *out;
};

static void print(struct printing *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void print(struct printing *p, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line, sizeof line, format, args);
    va_end(args);
    if (n > 0) put_raw(p->out, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

static void head(struct printing *p, const char *name, const char *type, const char *help)
{
    print(p, "# HELP carousel_%s %s\n# TYPE carousel_%s %s\n", name, help, name, type);
}

static void print_number(struct printing *p, const char *name, const char *labels, uint64_t value)
{
    print(p, "carousel_%s%s %llu\n", name, labels, (unsigned long long)value);
}

/* `label` is name="value", or empty. */
static void print_series(struct printing *p, enum histogram histogram, const struct histogram_counts *counts,
                         const char *label)
{
    const char *name = histograms[histogram].name, *comma = *label ? "," : "";
    const char *open = *label ? "{" : "", *close = *label ? "}" : "";
    const double *bounds = histograms[histogram].bounds;
    unsigned long long total = 0;
    size_t i = 0;
    for (; i < MAX_BOUNDS && bounds[i] > 0; i++) {
        total += load(&counts->bucket[i]);
        print(p, "carousel_%s_bucket{%s%sle=\"%g\"} %llu\n", name, label, comma, bounds[i], total);
    }
    total += load(&counts->bucket[i]);
    print(p, "carousel_%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, label, comma, total);
    print(p, "carousel_%s_sum%s%s%s %.9g\n", name, open, label, close,
          (double)load(&counts->sum_nano) * 1e-9);
    print(p, "carousel_%s_count%s%s%s %llu\n", name, open, label, close, total);
}

static bool is_empty(const struct histogram_counts *counts)
{
    for (size_t i = 0; i <= MAX_BOUNDS; i++)
        if (load(&counts->bucket[i])) return false;
    return true;
}

/* Return the i-th model's counts, from the requests without a model on; NULL after the last. */
static const struct model_counts *counts_nth(const struct metrics *metrics, size_t i)
{
    if (i == 0) return &metrics->plain;
    return i <= METRICS_MAX_MODELS ? atomic_load(&metrics->models[i - 1]) : NULL;
}

static void print_durations(struct printing *p, const struct model_counts *counts)
{
    char label[256];
    for (int route = 0; route <= N_ROUTES; route++) {
        if (is_empty(&counts->durations[route])) continue;
        snprintf(label, sizeof label, "route=\"%s\",model=\"%s\"", route_path((enum route_id)route),
                 counts->model);
        print_series(p, HISTOGRAM_DURATION, &counts->durations[route], label);
    }
}

static void print_histogram(struct printing *p, enum histogram histogram)
{
    const struct model_counts *counts;
    if (histogram != HISTOGRAM_DURATION)
        print_series(p, histogram, &p->metrics->histograms[histogram], "");
    else
        for (size_t i = 0; (counts = counts_nth(p->metrics, i)); i++) print_durations(p, counts);
}

static void print_counts(struct printing *p, const char *name, const struct model_counts *counts)
{
    for (int route = 0; route <= N_ROUTES; route++)
        for (unsigned code = 0; code < N_STATUSES; code++) {
            uint64_t n = load(&counts->requests[route][code]);
            if (n) print(p, "carousel_%s{route=\"%s\",code=\"%u\",model=\"%s\"} %llu\n", name,
                         route_path((enum route_id)route), code + FIRST_STATUS, counts->model,
                         (unsigned long long)n);
        }
}

static void print_requests(struct printing *p, const char *name)
{
    const struct model_counts *counts;
    for (size_t i = 0; (counts = counts_nth(p->metrics, i)); i++) print_counts(p, name, counts);
}

static void print_models(struct printing *p, const char *name, bool memory)
{
    struct model **models;
    size_t n;
    if (!p->server->registry) return;
    /* no answer is better than one without models */
    if (registry_list(p->server->registry, &models, &n) != STATUS_OK) {
        writer_fail(p->out);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        size_t value = memory ? model_bytes(models[i]) : 1;
        print(p, "carousel_%s{model=\"%s\",version=\"%s\"} %zu\n", name, models[i]->name, models[i]->version,
              value);
        model_drop(models[i]);
    }
    memory_free(models);
}

static void print_batches(struct printing *p, const char *name)
{
    for (unsigned i = 0; i + 1 < SCHEDULER_BATCH_BUCKETS; i++)
        print(p, "carousel_%s_bucket{le=\"%u\"} %llu\n", name, 1u << i,
              (unsigned long long)p->stats.batch[i]);
    unsigned long long all = p->stats.batch[SCHEDULER_BATCH_BUCKETS - 1];
    print(p, "carousel_%s_bucket{le=\"+Inf\"} %llu\ncarousel_%s_sum %llu\ncarousel_%s_count %llu\n", name,
          all, name, (unsigned long long)p->stats.rows, name, all);
}

enum computed {
#define COUNTER(symbol, name, help)
#define HISTOGRAM(symbol, name, help, ...)
#define COMPUTED(symbol, name, type, help) COMPUTED_##symbol,
#include "server/request/metrics.def"
};

static void print_faults(struct printing *p, const char *name)
{
    for (int i = 0; i < N_FAULTS; i++) {
        if (is_refusal((enum fault)i))
            print(p, "carousel_%s{reason=\"%s\"} %llu\n", name, fault_code((enum fault)i),
                  (unsigned long long)load(&p->metrics->faults[i]));
    }
}

/* The second number of statm (proc(5)), in pages; nothing if the system has no such file. */
static void print_resident(struct printing *p, const char *name)
{
    unsigned long long pages;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file) return;
    if (fscanf(file, "%*u %llu", &pages) == 1)
        print_number(p, name, "", pages * (unsigned long long)sysconf(_SC_PAGESIZE));
    fclose(file);
}

static void print_sessions_ended(struct printing *p, const char *name)
{
    print_number(p, name, "{reason=\"expired\"}", p->kept.expired);
    print_number(p, name, "{reason=\"evicted\"}", p->kept.evicted);
    print_number(p, name, "{reason=\"model_replaced\"}", p->kept.replaced);
    print_number(p, name, "{reason=\"deleted\"}", p->kept.deleted);
}

static void print_computed(struct printing *p, enum computed which, const char *name)
{
    const struct scheduler_stats *stats = &p->stats;
    switch (which) {
    case COMPUTED_BUILD_INFO:
        print(p, "carousel_%s{version=\"%s\",kernels=\"%s\"} 1\n", name, server_version(),
              kernels_active()->name);
        break;
    case COMPUTED_STARTED: print_number(p, name, "", (uint64_t)p->server->started_s); break;
    case COMPUTED_RESIDENT: print_resident(p, name); break;
    case COMPUTED_LOG_LOST: print_number(p, name, "", log_lost()); break;
    case COMPUTED_REQUESTS: print_requests(p, name); break;
    case COMPUTED_FINISHED:
        for (int i = 0; i < N_ENDS; i++)
            print(p, "carousel_%s{reason=\"%s\"} %llu\n", name, end_names[i],
                  (unsigned long long)load(&p->metrics->ends[i]));
        break;
    case COMPUTED_REJECTED: print_faults(p, name); break;
    case COMPUTED_STEPS:
        print_number(p, name, "{phase=\"prompt\"}", stats->steps_prompt);
        print_number(p, name, "{phase=\"decode\"}", stats->steps_decode);
        break;
    case COMPUTED_TURNS: print_number(p, name, "", stats->turns); break;
    case COMPUTED_ROWS: print_number(p, name, "", stats->rows); break;
    case COMPUTED_WORKERS: print_number(p, name, "", p->server->n_workers); break;
    case COMPUTED_COMPUTE: print(p, "carousel_%s %.6f\n", name, (double)stats->compute_us * 1e-6); break;
    case COMPUTED_BODY_BYTES:
        print_number(p, name, "", (uint64_t)atomic_load(&p->server->bodies.bytes));
        break;
    case COMPUTED_JOB_BYTES: print_number(p, name, "", job_total_bytes()); break;
    case COMPUTED_REPLY_BYTES:
        print_number(p, name, "", (uint64_t)atomic_load(&p->server->replies.bytes));
        break;
    case COMPUTED_QUEUED_STEPS: print_number(p, name, "", stats->queued_steps); break;
    case COMPUTED_QUEUE_DEPTH: print_number(p, name, "", stats->queued); break;
    case COMPUTED_ACTIVE: print_number(p, name, "", stats->aboard + stats->parked); break;
    case COMPUTED_SESSIONS_CREATED: print_number(p, name, "", p->kept.created); break;
    case COMPUTED_SESSIONS_ENDED: print_sessions_ended(p, name); break;
    case COMPUTED_SESSIONS: print_number(p, name, "", p->kept.sessions); break;
    case COMPUTED_SOCKETS:
        print_number(p, name, "", (uint64_t)atomic_load(&p->server->sockets));
        break;
    case COMPUTED_SESSION_READERS:
        print_number(p, name, "", (uint64_t)atomic_load(&p->server->readers));
        break;
    case COMPUTED_SESSIONS_WAITING: print_number(p, name, "", p->kept.waiting); break;
    case COMPUTED_STORED: print_number(p, name, "", p->kept.answers); break;
    case COMPUTED_STATE_BYTES: print_number(p, name, "", p->kept.bytes); break;
    case COMPUTED_PREFIX_LOOKUPS: print_number(p, name, "", p->prefixes.lookups); break;
    case COMPUTED_PREFIX_HITS: print_number(p, name, "", p->prefixes.hits); break;
    case COMPUTED_PREFIX_TOKENS: print_number(p, name, "", p->prefixes.tokens); break;
    case COMPUTED_PREFIX_BYTES: print_number(p, name, "", p->prefixes.bytes); break;
    case COMPUTED_MODEL_READY: print_models(p, name, false); break;
    case COMPUTED_MODEL_MEMORY: print_models(p, name, true); break;
    case COMPUTED_BATCH_ROWS: print_batches(p, name); break;
    }
}

void metrics_print(const struct metrics *metrics, const struct server *server,
                   struct writer *out)
{
    struct printing p = {.metrics = metrics, .server = server, .out = out};
    if (server->scheduler) scheduler_stats(server->scheduler, &p.stats);
    if (server->store) store_stats(server->store, &p.kept);
    if (server->prefixes) prefixes_stats(server->prefixes, &p.prefixes);
#define COUNTER(symbol, name, help)                                                                \
    head(&p, name, "counter", help);                                                               \
    print_number(&p, name, "", load(&metrics->counters[COUNTER_##symbol]));
#define HISTOGRAM(symbol, name, help, ...)                                                         \
    head(&p, name, "histogram", help);                                                             \
    print_histogram(&p, HISTOGRAM_##symbol);
#define COMPUTED(symbol, name, type, help)                                                         \
    head(&p, name, type, help);                                                                    \
    print_computed(&p, COMPUTED_##symbol, name);
#include "server/request/metrics.def"
}
