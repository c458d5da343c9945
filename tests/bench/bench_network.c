/* Usage: bench_network [--threads N] [--precision P] [--kernels SET] [--outputs FILE] [--samples N]
 *                      BUNDLE [BxT ...]
 *
 * One turn of a network: B sequences of T steps each, from a carried state. CSV on standard output,
 * one row a shape: precision,threads,B,T,median_ms,best_ms,gflops,gbytes_per_s. gflops counts the products of
 * all rows; gbytes_per_s is the weights streamed once a step (the least that a recurrent network must).
 * Several threads do what the server's workers do: up to TEAM_RIDERS sequences are one batch of a team; more
 * are dealt out, so that each thread has a batch of its own.
 *
 * --outputs writes the last step's outputs of the first shape, run from zero, as raw float32 [B, outputs]: so
 * that whoever compares speeds can compare answers first. Token i of sequence b is (7b + 3i + bi) mod V;
 * number i of a network that reads features is ((7b + 3i + bi) mod 41 - 20) / 20.
 *
 * Each row: warm-up, then samples of fixed work; median and best. One thread is measured by its own processor
 * time, which does not count what other processes take. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "core/base/memory.h"
#include "core/network/team.h"
#include "models/bundle/model.h"

enum { MAX_SHAPES = 32, MAX_THREADS = 16, MIN_SAMPLE_US = 2000 };

struct options {
    size_t threads, samples;
    enum precision precision;
    const char *kernels, *outputs, *bundle;
    size_t n_shapes, B[MAX_SHAPES], T[MAX_SHAPES];
};

struct batch {
    const struct network *network;
    struct workspace *workspace;
    struct ride *rides;
    size_t B, T, repeats;
};

static void die(const char *message)
{
    fprintf(stderr, "bench_network: %s\n", message);
    exit(EXIT_FAILURE);
}

static int32_t *tokens_of(size_t b, size_t T, size_t V)
{
    int32_t *tokens = memory_new(T, sizeof *tokens);
    if (!tokens) die("out of memory");
    for (size_t i = 0; i < T; i++) tokens[i] = (int32_t)((7 * b + 3 * i + b * i) % V);
    return tokens;
}

static float *features_of(size_t b, size_t T, size_t width)
{
    float *rows = memory_new(T * width, sizeof *rows);
    if (!rows) die("out of memory");
    for (size_t i = 0; i < T * width; i++) rows[i] = ((float)((7 * b + 3 * i + b * i) % 41) - 20) / 20;
    return rows;
}

/* `B` sequences, the first of which is number `first`. */
static struct batch batch_new(const struct network *network, struct team *team, size_t first, size_t B,
                              size_t T)
{
    struct batch batch = {.network = network, .B = B, .T = T};
    if (workspace_new(B * T, B, &batch.workspace) != STATUS_OK ||
        workspace_fit(batch.workspace, network) != STATUS_OK)
        die("out of memory");
    workspace_lend(batch.workspace, team);
    batch.rides = memory_new(B, sizeof *batch.rides);
    size_t width = network_input_size(network), V = network_vocabulary_size(network);
    for (size_t b = 0; batch.rides && b < B; b++)
        batch.rides[b] = (struct ride){
            .n_steps = T, .tokens = width ? NULL : tokens_of(first + b, T, V),
            .features = width ? features_of(first + b, T, width) : NULL,
            .state = memory_new(network_state_floats(network), sizeof(float)), .want = WANT_LAST};
    return batch;
}

static void batch_free(struct batch *batch)
{
    for (size_t b = 0; b < batch->B; b++) {
        memory_free((void *)batch->rides[b].tokens);
        memory_free((void *)batch->rides[b].features);
        memory_free(batch->rides[b].state);
    }
    memory_free(batch->rides);
    workspace_free(batch->workspace);
}

static void batch_run(struct batch *batch)
{
    for (size_t i = 0; i < batch->repeats; i++)
        network_run(batch->network, batch->workspace, batch->rides, batch->B);
}

static void *batch_main(void *argument)
{
    batch_run(argument);
    return NULL;
}

/* A team's batch, or a batch for each thread. */
struct work {
    struct batch batches[MAX_THREADS];
    size_t n, B, T;
};

static struct work work_new(const struct network *network, struct team *team, size_t threads, size_t B,
                            size_t T)
{
    struct work work = {.n = B > TEAM_RIDERS ? threads : 1, .B = B, .T = T};
    for (size_t i = 0; i < work.n; i++)
        work.batches[i] = batch_new(network, work.n > 1 ? NULL : team, B * i / work.n,
                                    B * (i + 1) / work.n - B * i / work.n, T);
    return work;
}

static void work_free(struct work *work)
{
    for (size_t i = 0; i < work->n; i++) batch_free(&work->batches[i]);
}

static void work_run(struct work *work, size_t repeats)
{
    pthread_t threads[MAX_THREADS];
    for (size_t i = 0; i < work->n; i++) work->batches[i].repeats = repeats;
    for (size_t i = 1; i < work->n; i++)
        if (pthread_create(&threads[i], NULL, batch_main, &work->batches[i])) die("no thread");
    batch_run(&work->batches[0]);
    for (size_t i = 1; i < work->n; i++) pthread_join(threads[i], NULL);
}

static void write_outputs(struct work *work, const char *path)
{
    FILE *file = fopen(path, "wb");
    if (!file) die("cannot write the outputs");
    work_run(work, 1);
    for (size_t i = 0; i < work->n; i++)
        for (size_t b = 0; b < work->batches[i].B; b++)
            fwrite(work->batches[i].rides[b].output, sizeof(float),
                   network_output_size(work->batches[i].network), file);
    if (fclose(file)) die("cannot write the outputs");
}

static int compare_times(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of the only thread, or of the clock on the wall. */
static int64_t now_us(const struct options *o)
{
    return o->threads == 1 ? clock_thread_us() : clock_us();
}

static void measure(struct work *work, const struct options *o)
{
    double *times = memory_new(o->samples, sizeof *times);
    if (!times) die("out of memory");
    int64_t start = now_us(o);
    work_run(work, 3);
    size_t repeats = (size_t)(MIN_SAMPLE_US * 3 / (now_us(o) - start + 1)) + 1;
    for (size_t i = 0; i < o->samples; i++) {
        start = now_us(o);
        work_run(work, repeats);
        times[i] = (double)(now_us(o) - start) / 1e3 / (double)repeats;
    }
    qsort(times, o->samples, sizeof *times, compare_times);
    double median = times[o->samples / 2], bytes = (double)network_bytes(work->batches[0].network);
    double elements = bytes / (o->precision == PRECISION_FLOAT32 ? 4
                               : o->precision == PRECISION_INT8  ? 1
                                                                 : 2);
    printf("%s,%zu,%zu,%zu,%.4f,%.4f,%.1f,%.1f\n", precision_name(o->precision), o->threads,
           work->B, work->T, median, times[0],
           2e-6 * elements * (double)(work->B * work->T) / median,
           1e-6 * bytes * (double)work->T / median);
    fflush(stdout);
    memory_free(times);
}

static struct options options_parse(int argc, char **argv)
{
    struct options o = {.threads = 1, .samples = 31, .kernels = "auto"};
    for (int i = 1; i < argc; i++) {
        bool has_value = i + 1 < argc;
        if (!strcmp(argv[i], "--threads") && has_value) o.threads = strtoul(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "--samples") && has_value) o.samples = strtoul(argv[++i], NULL, 10);
        else if (!strcmp(argv[i], "--kernels") && has_value) o.kernels = argv[++i];
        else if (!strcmp(argv[i], "--outputs") && has_value) o.outputs = argv[++i];
        else if (!strcmp(argv[i], "--precision") && has_value) {
            if (precision_find(argv[++i], &o.precision) != STATUS_OK) die("unknown precision");
        } else if (!o.bundle) o.bundle = argv[i];
        else if (o.n_shapes == MAX_SHAPES ||
                 sscanf(argv[i], "%zux%zu", &o.B[o.n_shapes], &o.T[o.n_shapes]) != 2)
            die("a shape is BxT, as 16x1");
        else o.n_shapes++;
    }
    if (!o.bundle || !o.threads || o.threads > MAX_THREADS || !o.samples)
        die("usage: bench_network [options] BUNDLE [BxT ...]");
    return o;
}

struct member {
    pthread_t thread;
    struct team *team;
    size_t seat;
};

static void *member_main(void *argument)
{
    struct member *member = argument;
    team_join(member->team, member->seat, NULL);
    return NULL;
}

static void members_start(struct team *team, struct member *members, size_t n)
{
    team_open(team, n);
    for (size_t i = 1; i < n; i++) {
        members[i] = (struct member){.team = team, .seat = i};
        if (pthread_create(&members[i].thread, NULL, member_main, &members[i])) die("no thread");
    }
}

static void members_stop(struct team *team, struct member *members, size_t n)
{
    team_dismiss(team);
    for (size_t i = 1; i < n; i++) pthread_join(members[i].thread, NULL);
}

int main(int argc, char **argv)
{
    struct options o = options_parse(argc, argv);
    struct error err = {0};
    struct model *model = NULL;
    static struct team team;
    struct member members[MAX_THREADS];
    if (kernels_select(o.kernels, &err) != STATUS_OK ||
        model_load(o.bundle, "bench", "1", o.precision, &model, &err) != STATUS_OK)
        die(err.message);
    for (size_t i = 0; i < o.n_shapes; i++) {
        struct work work = work_new(model->network, &team, o.threads, o.B[i], o.T[i]);
        if (work.n == 1) members_start(&team, members, o.threads);
        if (o.outputs && i == 0) write_outputs(&work, o.outputs);
        measure(&work, &o);
        if (work.n == 1) members_stop(&team, members, o.threads);
        work_free(&work);
    }
    model_drop(model);
    return EXIT_SUCCESS;
}
