/* Usage: bench_translation [--workers N] [--precision P] [--steps S] [--tokens N] [--beams B] [--runs R]
 *                          [--inputs FILE] [--outputs FILE] BUNDLE [SENTENCES ...]
 *
 * Encoder-decoders without HTTP: so many sentences of S tokens (12) at once, each a request of its own, into
 * at most N tokens (24) by B beams (1: greedy). CSV, one row a number of sentences, the median of R runs (9):
 *
 *     precision,workers,beams,sentences,median_ms,best_ms,cpu_ms,sentences_per_s,tokens_per_s
 *
 * cpu_ms is the median time of the processor, of all threads: other processes do not count. The tokens are
 * those that the results have. --outputs writes them, a line a sentence. Token k of sentence i is 2 + (7 i +
 * 3 k + i k) mod (vocabulary - 2), because most vocabularies begin with the marks of begin and end. --inputs
 * has the sentences instead: a line has the tokens of one, without those marks; S is not used then. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/base/memory.h"
#include "models/translation/translation.h"

enum { MAX_SENTENCES = 1024, MAX_RUNS = 1000 };

struct options {
    size_t workers, steps, tokens, beams, runs;
    enum precision precision;
    const char *bundle, *outputs, *inputs;
    struct token_span *given; /* [n_given] the lines of `inputs` */
    size_t n_given;
};

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ended = PTHREAD_COND_INITIALIZER;
static size_t n_running; /* guarded by mu */

static void die(const char *message)
{
    fprintf(stderr, "bench_translation: %s\n", message);
    exit(EXIT_FAILURE);
}

static void sentence_ended(void *context)
{
    (void)context;
    pthread_mutex_lock(&mu);
    n_running--;
    pthread_cond_broadcast(&ended);
    pthread_mutex_unlock(&mu);
}

static int32_t *made_up(const struct model *model, const struct options *o, size_t i)
{
    const size_t V = network_vocabulary_size(model->network);
    int32_t *ids = memory_new(o->steps, sizeof *ids);
    if (!ids || V < 3) die("no memory, or no vocabulary");
    for (size_t k = 0; k < o->steps; k++) ids[k] = (int32_t)(2 + (7 * i + 3 * k + i * k) % (V - 2));
    return ids;
}

/* The numbers of a line. */
static struct token_span tokens_of(const char *line)
{
    size_t n = 0;
    int32_t *ids = memory_new(strlen(line) / 2 + 1, sizeof *ids);
    if (!ids) die("no memory for a sentence");
    for (char *end; ids; line = end, n++) {
        long id = strtol(line, &end, 10);
        if (end == line) break;
        ids[n] = (int32_t)id;
    }
    return (struct token_span){ids, n};
}

static void read_inputs(struct options *o)
{
    FILE *file = fopen(o->inputs, "r");
    char *line = NULL;
    size_t room = 0;
    o->given = memory_new(MAX_SENTENCES, sizeof *o->given);
    if (!file || !o->given) die("the file of inputs cannot be read");
    while (o->n_given < MAX_SENTENCES && getline(&line, &room, file) > 0)
        o->given[o->n_given++] = tokens_of(line);
    free(line);
    fclose(file);
}

static struct translation *translation_of(struct model *model, const struct options *o, size_t i)
{
    int32_t *made = o->inputs ? NULL : made_up(model, o, i);
    const struct token_span span = o->inputs ? o->given[i] : (struct token_span){made, o->steps};
    const struct translation_request request = {
        .inputs = &span, .n_inputs = 1, .num_beams = o->beams, .n_best = 1, .max_tokens = o->tokens,
        .length_penalty = 1, .max_whole_steps = 1024, .max_seats = TRANSLATION_MAX_BEAMS,
        .ability = task_can(model->task, ABILITY_PRONOUNCE) ? ABILITY_PRONOUNCE : ABILITY_TRANSLATE};
    const struct job_options options = {.weight = 1, .observer = {NULL, sentence_ended, NULL}};
    struct translation *translation;
    struct error err;
    if (translation_new(model, &request, &options, &translation, &err) != STATUS_OK) die(err.message);
    memory_free(made);
    return translation;
}

static void write_outputs(const struct options *o, struct translation *const *translations, size_t n)
{
    FILE *file = fopen(o->outputs, "w");
    if (!file) die("the file of outputs cannot be written");
    for (size_t i = 0; i < n; i++) {
        size_t found;
        const struct translation_result *best = translation_results(translations[i], 0, &found);
        for (size_t k = 0; found && k < best->n; k++)
            fprintf(file, "%s%d", k ? " " : "", (int)best->tokens[k]);
        fprintf(file, "\n");
    }
    if (fclose(file) != 0) die("the file of outputs cannot be written");
}

static double cpu_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return 1e3 * (double)now.tv_sec + 1e-6 * (double)now.tv_nsec;
}

/* Translate n sentences; milliseconds. */
static double run(struct model *model, struct scheduler *scheduler, const struct options *o, size_t n,
                  size_t *n_tokens, double *cpu)
{
    static struct translation *translations[MAX_SENTENCES];
    for (size_t i = 0; i < n; i++) translations[i] = translation_of(model, o, i);
    n_running = n;
    const double cpu_began = cpu_ms();
    int64_t began = clock_us();
    for (size_t i = 0; i < n; i++)
        if (job_start(translation_job(translations[i]), scheduler) != STATUS_OK)
            die("the scheduler refused a job");
    pthread_mutex_lock(&mu);
    while (n_running) pthread_cond_wait(&ended, &mu);
    pthread_mutex_unlock(&mu);
    double ms = (double)(clock_us() - began) / 1e3;
    *cpu = cpu_ms() - cpu_began;
    *n_tokens = 0;
    if (o->outputs) write_outputs(o, translations, n);
    for (size_t i = 0; i < n; i++) {
        size_t found;
        const struct translation_result *best = translation_results(translations[i], 0, &found);
        *n_tokens += found ? best->n : 0;
        job_free(translation_job(translations[i]));
    }
    return ms;
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void measure(struct model *model, struct scheduler *scheduler, const struct options *o, size_t n)
{
    static double ms[MAX_RUNS], cpu[MAX_RUNS];
    size_t n_tokens;
    if (n == 0 || n > MAX_SENTENCES) die("SENTENCES is a number from 1 to 1024");
    if (o->inputs && n > o->n_given) die("the file of inputs has fewer sentences");
    run(model, scheduler, o, n, &n_tokens, &cpu[0]);
    for (size_t i = 0; i < o->runs; i++) ms[i] = run(model, scheduler, o, n, &n_tokens, &cpu[i]);
    qsort(cpu, o->runs, sizeof *cpu, compare_doubles);
    qsort(ms, o->runs, sizeof *ms, compare_doubles);
    double median = ms[o->runs / 2];
    printf("%s,%zu,%zu,%zu,%.3f,%.3f,%.3f,%.0f,%.0f\n", precision_name(network_precision(model->network)),
           o->workers, o->beams, n, median, ms[0], cpu[o->runs / 2], 1e3 * (double)n / median,
           1e3 * (double)n_tokens / median);
    fflush(stdout);
}

static int options_parse(int argc, char **argv, struct options *o)
{
    const struct {
        const char *name;
        size_t *value;
    } numbers[] = {{"--workers", &o->workers}, {"--steps", &o->steps}, {"--tokens", &o->tokens},
                   {"--beams", &o->beams}, {"--runs", &o->runs}};
    const struct {
        const char *name;
        const char **value;
    } files[] = {{"--inputs", &o->inputs}, {"--outputs", &o->outputs}};
    int i = 1;
    for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
        bool is_known = !strcmp(argv[i], "--precision") &&
                        precision_find(argv[i + 1], &o->precision) == STATUS_OK;
        for (size_t k = 0; k < sizeof files / sizeof *files; k++) {
            if (strcmp(argv[i], files[k].name)) continue;
            *files[k].value = argv[i + 1];
            is_known = true;
        }
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++) {
            if (strcmp(argv[i], numbers[k].name)) continue;
            *numbers[k].value = strtoul(argv[i + 1], NULL, 10);
            is_known = true;
        }
        if (!is_known) die("unknown option; the source says which there are");
    }
    if (i == argc || !o->workers || !o->steps || !o->tokens || !o->beams || !o->runs || o->runs > MAX_RUNS)
        die("usage: bench_translation [options] BUNDLE [SENTENCES ...]");
    o->bundle = argv[i++];
    return i;
}

int main(int argc, char **argv)
{
    struct options o = {.workers = 1, .steps = 12, .tokens = 24, .beams = 1, .runs = 9,
                        .precision = PRECISION_FLOAT32};
    int first = options_parse(argc, argv, &o);
    struct scheduler_options so = {.n_workers = o.workers,
                                   .max_batch = 64,
                                   .chunk_steps = 32,
                                   .max_rows = 2048,
                                   .queue = {.sequences = 2 * MAX_SENTENCES, .steps = 1u << 30}};
    struct scheduler *scheduler;
    struct model *model;
    struct error err;
    if (kernels_select("auto", &err) != STATUS_OK ||
        model_load(o.bundle, "bench", "1", o.precision, &model, &err) != STATUS_OK ||
        scheduler_new(&so, &scheduler, &err) != STATUS_OK)
        die(err.message);
    if (!model->decoder) die("the bundle has no decoder");
    if (o.inputs) read_inputs(&o);
    for (int i = first; i < argc; i++) measure(model, scheduler, &o, strtoul(argv[i], NULL, 10));
    scheduler_free(scheduler);
    model_drop(model);
    return EXIT_SUCCESS;
}
