/* Usage: bench_generation [--workers N] [--precision P] [--tokens N] [--chunk C] [--prompt L] BUNDLE
 *                         [STREAMS ...]
 *
 * Generation without HTTP: so many streams at once, each from a prompt of one token to --tokens tokens (256),
 * and none ends before the others are done beside it. With --prompt L a further client reads one prompt of L
 * tokens after the other meanwhile: what that costs the streams is what chunk_steps bounds. CSV, one row a
 * number of streams, the median run of RUNS by its speed:
 *
 *     precision,workers,chunk_steps,streams,tokens_per_s,gap_p50_ms,gap_p99_ms,prompt_tokens_per_s
 *
 * A gap is the time between two tokens of one stream, as its worker saw it. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/generation/generation.h"

enum { RUNS = 5, MAX_STREAMS = 1024 };

struct options {
    size_t workers, tokens, chunk, prompt;
    enum precision precision;
    const char *bundle;
};

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ended = PTHREAD_COND_INITIALIZER;
static size_t n_running; /* streams; guarded by mu */

struct stream {
    struct generation *generation;
    int64_t last_us;
    double *gaps_ms; /* [tokens] */
    size_t n_gaps;
    bool is_done; /* guarded by mu */
};

static void die(const char *message)
{
    fprintf(stderr, "bench_generation: %s\n", message);
    exit(EXIT_FAILURE);
}

static void *allocate(size_t count, size_t size)
{
    void *block = memory_new(count, size);
    if (!block)
        die("out of memory");
    return block;
}

static void told_token(void *context)
{
    struct stream *stream = context;
    int64_t now = clock_us();
    if (stream->last_us)
        stream->gaps_ms[stream->n_gaps++] = (double)(now - stream->last_us) / 1e3;
    stream->last_us = now;
}

static void stream_ended(void *context)
{
    struct stream *stream = context;
    pthread_mutex_lock(&mu);
    stream->is_done = true;
    n_running--;
    pthread_cond_broadcast(&ended);
    pthread_mutex_unlock(&mu);
}

static void told_nothing(void *context)
{
    (void)context;
}

static struct generation *generation_of(struct model *model, size_t prompt, size_t tokens,
                                        uint64_t seed, struct job_observer observer)
{
    int32_t *ids = allocate(prompt, sizeof *ids);
    for (size_t i = 0; i < prompt; i++)
        ids[i] = (int32_t)((seed + 3 * i) % network_vocabulary_size(model->network));
    struct token_span span = {ids, prompt};
    struct generation_request request = {.prompts = &span,
                                         .n_prompts = 1,
                                         .max_tokens = tokens,
                                         .n = 1,
                                         .best_of = 1,
                                         .temperature = 1,
                                         .top_p = 1,
                                         .repetition_penalty = 1,
                                         .seed = seed,
                                         .logprobs = -1};
    struct job_options options = {.weight = 1, .observer = observer};
    struct generation *generation;
    struct error err;
    if (generation_new(model, &request, &options, &generation, &err) != STATUS_OK)
        die(err.message);
    memory_free(ids);
    return generation;
}

static void start(struct generation *generation, struct scheduler *scheduler)
{
    if (job_start(generation_job(generation), scheduler) != STATUS_OK)
        die("the scheduler refused a job");
}

/* One prompt after the other until the streams are through; returns the prompt tokens read. */
static size_t read_prompts(struct model *model, struct scheduler *scheduler, size_t prompt)
{
    size_t n = 0;
    for (bool more = true; more;) {
        struct stream reader = {.is_done = false};
        reader.generation = generation_of(
            model, prompt, 1, n, (struct job_observer){told_nothing, stream_ended, &reader});
        pthread_mutex_lock(&mu);
        n_running++;
        pthread_mutex_unlock(&mu);
        start(reader.generation, scheduler);
        pthread_mutex_lock(&mu);
        while (!reader.is_done)
            pthread_cond_wait(&ended, &mu);
        more = n_running > 0;
        pthread_mutex_unlock(&mu);
        job_free(generation_job(reader.generation));
        n += prompt;
    }
    return n;
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

struct result {
    double tokens_per_s, gap_p50_ms, gap_p99_ms, prompt_tokens_per_s;
};

static struct result summary(struct stream *streams, size_t n, size_t tokens)
{
    double *all = allocate(n * tokens, sizeof *all);
    size_t n_all = 0;
    for (size_t i = 0; i < n; i++) {
        memcpy(all + n_all, streams[i].gaps_ms, streams[i].n_gaps * sizeof *all);
        n_all += streams[i].n_gaps;
    }
    qsort(all, n_all, sizeof *all, compare_doubles);
    struct result r = {.gap_p50_ms = all[n_all / 2], .gap_p99_ms = all[n_all * 99 / 100]};
    memory_free(all);
    return r;
}

static struct result run(struct model *model, struct scheduler *scheduler, const struct options *o,
                         size_t n)
{
    struct stream *streams = allocate(n, sizeof *streams);
    for (size_t i = 0; i < n; i++) {
        streams[i].gaps_ms = allocate(o->tokens, sizeof(double));
        streams[i].generation = generation_of(
            model, 1, o->tokens, i, (struct job_observer){told_token, stream_ended, &streams[i]});
    }
    n_running = n;
    int64_t began = clock_us();
    for (size_t i = 0; i < n; i++)
        start(streams[i].generation, scheduler);
    size_t prompt_tokens = o->prompt ? read_prompts(model, scheduler, o->prompt) : 0;
    pthread_mutex_lock(&mu);
    while (n_running)
        pthread_cond_wait(&ended, &mu);
    pthread_mutex_unlock(&mu);
    double seconds = (double)(clock_us() - began) / 1e6;
    struct result r = summary(streams, n, o->tokens);
    r.tokens_per_s = (double)(n * o->tokens) / seconds;
    r.prompt_tokens_per_s = (double)prompt_tokens / seconds;
    for (size_t i = 0; i < n; i++) {
        job_free(generation_job(streams[i].generation));
        memory_free(streams[i].gaps_ms);
    }
    memory_free(streams);
    return r;
}

static int compare_results(const void *a, const void *b)
{
    return compare_doubles(&((const struct result *)a)->tokens_per_s,
                           &((const struct result *)b)->tokens_per_s);
}

static void measure(struct model *model, struct scheduler *scheduler, const struct options *o,
                    size_t n)
{
    struct result results[RUNS];
    if (n == 0 || n > MAX_STREAMS)
        die("STREAMS is a number from 1 to 1024");
    run(model, scheduler, o, n);
    for (size_t i = 0; i < RUNS; i++)
        results[i] = run(model, scheduler, o, n);
    qsort(results, RUNS, sizeof *results, compare_results);
    const struct result *r = &results[RUNS / 2];
    printf("%s,%zu,%zu,%zu,%.0f,%.3f,%.3f,%.0f\n",
           precision_name(network_precision(model->network)), o->workers, o->chunk, n,
           r->tokens_per_s, r->gap_p50_ms, r->gap_p99_ms, r->prompt_tokens_per_s);
    fflush(stdout);
}

static int options_parse(int argc, char **argv, struct options *o)
{
    const struct {
        const char *name;
        size_t *value;
    } numbers[] = {{"--workers", &o->workers},
                   {"--tokens", &o->tokens},
                   {"--chunk", &o->chunk},
                   {"--prompt", &o->prompt}};
    int i = 1;
    for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
        bool is_known = !strcmp(argv[i], "--precision") &&
                        precision_find(argv[i + 1], &o->precision) == STATUS_OK;
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) {
            if (strcmp(argv[i], numbers[k].name))
                continue;
            *numbers[k].value = strtoul(argv[i + 1], NULL, 10);
            is_known = true;
        }
        if (!is_known)
            die("unknown option; the source says which there are");
    }
    if (i == argc || !o->workers || !o->tokens || !o->chunk)
        die("usage: bench_generation [options] BUNDLE [STREAMS ...]");
    o->bundle = argv[i++];
    return i;
}

int main(int argc, char **argv)
{
    struct options o = {.workers = 1, .tokens = 256, .chunk = 32, .precision = PRECISION_FLOAT32};
    int first = options_parse(argc, argv, &o);
    struct scheduler_options so = {.n_workers = o.workers,
                                   .max_batch = 64,
                                   .chunk_steps = o.chunk,
                                   .max_rows = 2048,
                                   .queue = {.sequences = 2 * MAX_STREAMS, .steps = 1u << 30}};
    struct scheduler *scheduler;
    struct model *model;
    struct error err;
    if (kernels_select("auto", &err) != STATUS_OK ||
        model_load(o.bundle, "bench", "1", o.precision, &model, &err) != STATUS_OK ||
        scheduler_new(&so, &scheduler, &err) != STATUS_OK)
        die(err.message);
    for (int i = first; i < argc; i++)
        measure(model, scheduler, &o, strtoul(argv[i], NULL, 10));
    scheduler_free(scheduler);
    model_drop(model);
    return EXIT_SUCCESS;
}
