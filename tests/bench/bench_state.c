/* Usage: bench_state [--tokens N] [--rounds N] BUNDLE ...
 *
 * What a state costs, without HTTP: the state of a model of task text-generation after so many tokens (64),
 * put into the store, found there, written to a folder and read back by another store, sealed as a token and
 * opened, in float32 and in float16. CSV, one row an operation:
 *
 *     model,operation,bytes,p50_us,p99_us,loss
 *
 * bytes: of the state in memory, of the record's file, or of the token. loss: the largest difference of a
 * number after float16. */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/kernels/kernels.h"
#include "models/generation/generation.h"
#include "server/sessions/seal.h"
#include "server/sessions/store.h"

enum { MOST_ROUNDS = 100000, NAME_BYTES = 64 };

static struct options {
    size_t tokens, rounds;
} options = {64, 2000};

static double times[MOST_ROUNDS];
static const char *shown; /* the model's name */

static void die(const char *message)
{
    fprintf(stderr, "bench_state: %s\n", message);
    exit(EXIT_FAILURE);
}

static int64_t now_s(void)
{
    return (int64_t)time(NULL);
}

static double now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e6 + (double)now.tv_nsec * 1e-3;
}

/* ---- a state ------------------------------------------------------------------------------------- */

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t ended = PTHREAD_COND_INITIALIZER;
static bool is_done;

static void told_nothing(void *context)
{
    (void)context;
}

static void told_end(void *context)
{
    (void)context;
    pthread_mutex_lock(&mu);
    is_done = true;
    pthread_cond_signal(&ended);
    pthread_mutex_unlock(&mu);
}

static struct state *make_state(struct model *model)
{
    int32_t id = 0;
    const struct token_span span = {&id, 1};
    const struct generation_request request = {.prompts = &span, .n_prompts = 1, .max_tokens = options.tokens,
                                               .n = 1, .best_of = 1, .temperature = 1, .top_p = 1,
                                               .repetition_penalty = 1, .logprobs = -1};
    const struct job_options job = {.weight = 1, .keeps = true,
                                    .observer = {told_nothing, told_end, NULL}};
    const struct scheduler_options schedule = {.n_workers = 1, .max_batch = 1, .chunk_steps = 16,
                                               .max_rows = 1024,
                                               .queue = {.sequences = 1, .steps = 1u << 30}};
    struct scheduler *scheduler;
    struct generation *generation;
    struct state *state;
    struct error err;
    if (scheduler_new(&schedule, &scheduler, &err) != STATUS_OK ||
        generation_new(model, &request, &job, &generation, &err) != STATUS_OK)
        die(err.message);
    is_done = false;
    if (job_start(generation_job(generation), scheduler) != STATUS_OK) die("the scheduler refused a job");
    pthread_mutex_lock(&mu);
    while (!is_done) pthread_cond_wait(&ended, &mu);
    pthread_mutex_unlock(&mu);
    if (job_keep(generation_job(generation), &state) != STATUS_OK) die("no memory");
    job_free(generation_job(generation));
    scheduler_free(scheduler);
    return state;
}

/* ---- the table ----------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print(const char *operation, size_t bytes, double loss)
{
    qsort(times, options.rounds, sizeof *times, compare);
    printf("%s,%s,%zu,%.2f,%.2f,%.2g\n", shown, operation, bytes, times[options.rounds / 2],
           times[options.rounds * 99 / 100], loss);
    fflush(stdout);
}

static struct store *open_store(struct registry *registry, struct vault *vault)
{
    const struct store_options store_options = {
        .entries = 2 * MOST_ROUNDS, .bytes = (size_t)4 << 30, .owner_percent = 100, .waiting = 1,
        .reply_bytes = 65536, .drain_s = 60, .now_s = now_s, .vault = vault, .registry = registry};
    struct store *store;
    if (store_new(&store_options, &store) != STATUS_OK) die("no memory");
    return store;
}

static struct store_key key_of(size_t i, char name[NAME_BYTES])
{
    snprintf(name, NAME_BYTES, "cmpl-%zu", i);
    return (struct store_key){STORE_ANSWER, "", name};
}

static void put_all(struct store *store, struct model *model, struct state *state)
{
    char name[NAME_BYTES];
    int64_t expires_s;
    for (size_t i = 0; i < options.rounds; i++) {
        const struct store_key key = key_of(i, name);
        double began = now_us();
        if (store_put(store, &key, model, state, 3600, &expires_s) != STATUS_OK) die("the store is full");
        times[i] = now_us() - began;
    }
}

static void get_all(struct store *store)
{
    char name[NAME_BYTES];
    for (size_t i = 0; i < options.rounds; i++) {
        const struct store_key key = key_of(i, name);
        struct store_view view;
        double began = now_us();
        if (store_get(store, &key, &view) != STORE_FOUND) die("a state was not found");
        times[i] = now_us() - began;
        store_view_release(&view);
    }
}

/* The size of one file of the folder, which all are removed. */
static size_t empty_folder(const char *path)
{
    DIR *folder = opendir(path);
    const struct dirent *entry;
    struct stat stat = {0};
    while (folder && (entry = readdir(folder))) {
        if (entry->d_name[0] == '.') continue;
        (void)fstatat(dirfd(folder), entry->d_name, &stat, 0);
        unlinkat(dirfd(folder), entry->d_name, 0);
    }
    if (folder) closedir(folder);
    rmdir(path);
    return (size_t)stat.st_size;
}

static void measure_store(struct registry *registry, struct model *model, struct state *state)
{
    char path[] = "/tmp/carousel-bench-XXXXXX";
    struct store_stats stats;
    struct vault *vault;
    struct error err;
    struct store *store = open_store(registry, NULL);
    put_all(store, model, state);
    store_stats(store, &stats);
    print("store", stats.bytes / options.rounds, 0);
    get_all(store);
    print("find", stats.bytes / options.rounds, 0);
    store_free(store);
    if (!mkdtemp(path)) die("no folder in /tmp");
    if (vault_open_folder(path, MOST_ROUNDS, &vault, &err) != STATUS_OK) die(err.message);
    store = open_store(registry, vault);
    put_all(store, model, state);
    double written[2] = {0};
    qsort(times, options.rounds, sizeof *times, compare);
    written[0] = times[options.rounds / 2];
    written[1] = times[options.rounds * 99 / 100];
    store_free(store);
    if (vault_open_folder(path, MOST_ROUNDS, &vault, &err) != STATUS_OK) die(err.message);
    store = open_store(registry, vault);
    get_all(store);
    store_free(store);
    size_t bytes = empty_folder(path);
    printf("%s,write to folder,%zu,%.2f,%.2f,0\n", shown, bytes, written[0], written[1]);
    print("read from folder", bytes, 0);
}

static void measure_seal(const struct model *model, const struct state *state, bool half)
{
    static const char keys[] = "b 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
    struct seal_ring *ring;
    struct error err;
    double loss = 0;
    size_t bytes = 0;
    char **tokens = calloc(options.rounds, sizeof *tokens);
    if (!tokens || seal_ring_open("", &ring, &err) != STATUS_OK ||
        seal_ring_read(ring, keys, sizeof keys - 1, "keys", &err) != STATUS_OK)
        die("no memory");
    for (size_t i = 0; i < options.rounds; i++) {
        double began = now_us();
        tokens[i] = seal_make(ring, model, state, "", now_s(), now_s() + 3600, half, &loss);
        times[i] = now_us() - began;
        if (!tokens[i]) die("a state was not sealed");
        bytes = strlen(tokens[i]);
    }
    print(half ? "seal float16" : "seal float32", bytes, half ? loss : 0);
    for (size_t i = 0; i < options.rounds; i++) {
        struct sealed sealed;
        double began = now_us();
        if (seal_open(ring, tokens[i], bytes, "", now_s(), &sealed) != SEAL_OPENED) die("no token");
        times[i] = now_us() - began;
        state_drop(sealed.state);
        free(tokens[i]);
    }
    print(half ? "open float16" : "open float32", bytes, half ? loss : 0);
    free(tokens);
    seal_ring_close(ring);
}

static void measure(const char *path)
{
    struct registry *registry;
    struct model *model;
    struct error err;
    shown = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    if (registry_new(&registry) != STATUS_OK) die("no memory");
    if (kernels_select("auto", &err) != STATUS_OK) die(err.message);
    if (model_load(path, shown, "1", PRECISION_FLOAT32, &model, &err) != STATUS_OK) die(err.message);
    if (registry_put(registry, model_acquire(model)) != STATUS_OK) die("no memory");
    struct state *state = make_state(model);
    printf("%s,at rest,%zu,,,0\n", shown, state_bytes(state));
    measure_store(registry, model, state);
    measure_seal(model, state, false);
    measure_seal(model, state, true);
    state_drop(state);
    model_drop(model);
    registry_free(registry);
}

int main(int argc, char **argv)
{
    int i = 1;
    for (; i + 1 < argc && argv[i][0] == '-'; i += 2) {
        size_t value = strtoul(argv[i + 1], NULL, 10);
        if (!strcmp(argv[i], "--tokens")) options.tokens = value;
        else if (!strcmp(argv[i], "--rounds")) options.rounds = value;
        else die("unknown option");
    }
    if (i == argc || !options.tokens || !options.rounds || options.rounds > MOST_ROUNDS)
        die("usage: bench_state [--tokens N] [--rounds N] BUNDLE ...");
    puts("model,operation,bytes,p50_us,p99_us,loss");
    for (; i < argc; i++) measure(argv[i]);
    return 0;
}
