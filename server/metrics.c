/* Counters and their text. */
#include "server/metrics.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/kernels.h"
#include "core/memory.h"
#include "models/job.h"
#include "server/log.h"
#include "server/router.h"
#include "server/serve.h"

enum { MAX_BOUNDS = 24, FIRST_STATUS = 100, N_STATUSES = 500 };

/* Buckets are counted apart and summed when printed; the sum is in nanounits, so that it can be an
 * integer. */
struct histogram_counts {
    atomic_uint_fast64_t bucket[MAX_BOUNDS + 1], sum_nano;
};

struct metrics {
    atomic_uint_fast64_t counters[N_COUNTERS];
    struct histogram_counts histograms[N_HISTOGRAMS];
    struct histogram_counts durations[N_ROUTES + 1]; /* HISTOGRAM_DURATION, by route */
    atomic_uint_fast64_t requests[N_ROUTES + 1][N_STATUSES];
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
#include "server/metrics.def"
#undef COUNTER
#undef HISTOGRAM
#undef COMPUTED
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

void metrics_count_request(struct metrics *metrics, enum route_id route, unsigned http_status, double seconds)
{
    observe(&metrics->durations[route], HISTOGRAM_DURATION, seconds);
    if (http_status >= FIRST_STATUS && http_status < FIRST_STATUS + N_STATUSES)
        add(&metrics->requests[route][http_status - FIRST_STATUS], 1);
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

static void print_histogram(struct printing *p, enum histogram histogram)
{
    char label[128];
    if (histogram != HISTOGRAM_DURATION) {
        print_series(p, histogram, &p->metrics->histograms[histogram], "");
        return;
    }
    for (int route = 0; route <= N_ROUTES; route++) {
        if (is_empty(&p->metrics->durations[route])) continue;
        snprintf(label, sizeof label, "route=\"%s\"", route_path((enum route_id)route));
        print_series(p, histogram, &p->metrics->durations[route], label);
    }
}

static void print_requests(struct printing *p, const char *name)
{
    for (int route = 0; route <= N_ROUTES; route++)
        for (unsigned code = 0; code < N_STATUSES; code++) {
            uint64_t n = load(&p->metrics->requests[route][code]);
            if (n) print(p, "carousel_%s{route=\"%s\",code=\"%u\"} %llu\n", name,
                         route_path((enum route_id)route), code + FIRST_STATUS, (unsigned long long)n);
        }
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
        size_t value = memory ? network_bytes(models[i]->network) : 1;
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
#include "server/metrics.def"
#undef COUNTER
#undef HISTOGRAM
#undef COMPUTED
};

static void print_faults(struct printing *p, const char *name)
{
    for (int i = 0; i < N_FAULTS; i++) {
        if (is_refusal((enum fault)i))
            print(p, "carousel_%s{reason=\"%s\"} %llu\n", name, fault_code((enum fault)i),
                  (unsigned long long)load(&p->metrics->faults[i]));
    }
}

/* The second number of statm (proc(5)), in pages; nothing where the system has no such file. */
static void print_resident(struct printing *p, const char *name)
{
    unsigned long long pages;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file) return;
    if (fscanf(file, "%*u %llu", &pages) == 1)
        print_number(p, name, "", pages * (unsigned long long)sysconf(_SC_PAGESIZE));
    fclose(file);
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
#define COUNTER(symbol, name, help)                                                                \
    head(&p, name, "counter", help);                                                               \
    print_number(&p, name, "", load(&metrics->counters[COUNTER_##symbol]));
#define HISTOGRAM(symbol, name, help, ...)                                                         \
    head(&p, name, "histogram", help);                                                             \
    print_histogram(&p, HISTOGRAM_##symbol);
#define COMPUTED(symbol, name, type, help)                                                         \
    head(&p, name, type, help);                                                                    \
    print_computed(&p, COMPUTED_##symbol, name);
#include "server/metrics.def"
#undef COUNTER
#undef HISTOGRAM
#undef COMPUTED
}
