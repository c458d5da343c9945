/* Usage: bench_network [--threads N] [--precision P] [--kernels SET] [--outputs FILE] [--samples N]
 *                      BUNDLE [BxT ...]
 *
 * One turn of a token network: B sequences of T steps each, from a carried state. CSV on standard output,
 * one row a shape: precision,threads,B,T,median_ms,best_ms,gflops,gbytes_per_s. gflops counts the products of
 * all rows; gbytes_per_s is the weights streamed once a step (the least that a recurrent network must).
 *
 * --outputs writes the last step's outputs of the first shape, run from zero, as raw float32 [B, outputs]: so
 * that whoever compares speeds can compare answers first. Token i of sequence b is (7b + 3i + bi) mod V.
 *
 * Each row: warm-up, then samples of fixed work; median and best. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock.h"
#include "core/memory.h"
#include "core/team.h"
#include "models/model.h"

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
    size_t B, T;
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

static struct batch batch_new(const struct network *network, struct team *team, size_t B, size_t T)
{
    struct batch batch = {.network = network, .B = B, .T = T};
    if (workspace_new(B * T, B, &batch.workspace) != STATUS_OK ||
        workspace_fit(batch.workspace, network) != STATUS_OK)
        die("out of memory");
    workspace_lend(batch.workspace, team);
    batch.rides = memory_new(B, sizeof *batch.rides);
    for (size_t b = 0; batch.rides && b < B; b++)
        batch.rides[b] = (struct ride){
            .n_steps = T, .tokens = tokens_of(b, T, network_vocabulary_size(network)),
            .state = memory_new(network_state_floats(network), sizeof(float)), .look = LOOK_LAST};
    return batch;
}

static void batch_free(struct batch *batch)
{
    for (size_t b = 0; b < batch->B; b++) {
        memory_free((void *)batch->rides[b].tokens);
        memory_free(batch->rides[b].state);
    }
    memory_free(batch->rides);
    workspace_free(batch->workspace);
}

static void batch_run(struct batch *batch)
{
    network_run(batch->network, batch->workspace, batch->rides, batch->B);
}

static void write_outputs(struct batch *batch, const char *path)
{
    FILE *file = fopen(path, "wb");
    if (!file) die("cannot write the outputs");
    batch_run(batch);
    for (size_t b = 0; b < batch->B; b++)
        fwrite(batch->rides[b].output, sizeof(float), network_output_size(batch->network), file);
    if (fclose(file)) die("cannot write the outputs");
}

static int compare_times(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(struct batch *batch, const struct options *o)
{
    double *times = memory_new(o->samples, sizeof *times);
    if (!times) die("out of memory");
    int64_t start = clock_us();
    for (int i = 0; i < 3; i++) batch_run(batch);
    size_t repeats = (size_t)(MIN_SAMPLE_US * 3 / (clock_us() - start + 1)) + 1;
    for (size_t i = 0; i < o->samples; i++) {
        start = clock_us();
        for (size_t j = 0; j < repeats; j++) batch_run(batch);
        times[i] = (double)(clock_us() - start) / 1e3 / (double)repeats;
    }
    qsort(times, o->samples, sizeof *times, compare_times);
    double median = times[o->samples / 2], bytes = (double)network_bytes(batch->network);
    double elements = bytes / (o->precision == PRECISION_FLOAT32   ? 4
                               : o->precision == PRECISION_FLOAT16 ? 2
                                                                   : 1);
    printf("%s,%zu,%zu,%zu,%.4f,%.4f,%.1f,%.1f\n", precision_name(o->precision), o->threads,
           batch->B, batch->T, median, times[0],
           2e-6 * elements * (double)(batch->B * batch->T) / median,
           1e-6 * bytes * (double)batch->T / median);
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
    team_join(member->team, member->seat);
    return NULL;
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
    if (network_input_size(model->network)) die("the bundle must read tokens");
    team_open(&team);
    for (size_t i = 1; i < o.threads; i++) {
        members[i] = (struct member){.team = &team, .seat = i};
        if (pthread_create(&members[i].thread, NULL, member_main, &members[i])) die("no thread");
    }
    for (size_t i = 0; i < o.n_shapes; i++) {
        struct batch batch = batch_new(model->network, &team, o.B[i], o.T[i]);
        if (o.outputs && i == 0) write_outputs(&batch, o.outputs);
        measure(&batch, &o);
        batch_free(&batch);
    }
    team_dismiss(&team);
    for (size_t i = 1; i < o.threads; i++) pthread_join(members[i].thread, NULL);
    model_drop(model);
    return EXIT_SUCCESS;
}
