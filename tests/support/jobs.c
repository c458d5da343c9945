#include "tests/support/jobs.h"

#include <check.h>
#include <string.h>
#include <time.h>

#include "core/base/memory.h"
#include "tests/support/await.h"
#include "tests/support/tiny.h"
#include "tests/support/taken.h"

struct model *jobs_model(enum task_id task, struct network *network, struct tokenizer *tokenizer)
{
    struct model *model = memory_new(1, sizeof *model);
    ck_assert_ptr_nonnull(model);
    strcpy(model->name, "made");
    model->task = task_of(task);
    model->spec = memory_new(1, model->task->spec_bytes + 1);
    ck_assert_ptr_nonnull(model->spec);
    model->network = network;
    model->tokenizer = tokenizer;
    model->n_labels = network_output_size(network);
    atomic_init(&model->_references, 1);
    return model;
}

void jobs_model_free(struct model *model)
{
    ck_assert_uint_eq(atomic_load(&model->_references), 1);
    network_free(model->network);
    tokenizer_free(model->tokenizer);
    memory_free(model->spec);
    memory_free(model);
}

/* Tensors over two arrays. */
struct made_tensors {
    struct tensors tensors;
    const float *weight, *bias;
};

static enum status made_take(struct tensors *self, const char *name, size_t rank,
                             const size_t *shape, float **out, struct error *err)
{
    const struct made_tensors *made = (const struct made_tensors *)self;
    const float *from = strcmp(name, "head.weight") == 0 ? made->weight : made->bias;
    size_t n = 1;
    for (size_t i = 0; i < rank; i++) n *= shape[i];
    float *values = memory_new(n, sizeof *values);
    if (!values) return error_set(err, STATUS_NO_MEMORY, "no memory");
    if (from) memcpy(values, from, n * sizeof *values);
    *out = values;
    return STATUS_OK;
}

static struct network *build(const struct layer_spec *specs, size_t n, const float *weight,
                             const float *bias)
{
    struct made_tensors made = {{.take = made_take, .read = taken_read}, weight, bias};
    struct network *network = NULL;
    struct error err = {0};
    enum status status = network_new(specs, n, &made.tensors, PRECISION_FLOAT32, &network, &err);
    ck_assert_msg(status == STATUS_OK, "%s", err.message);
    return network;
}

struct network *jobs_bigram_network(size_t V, const float *table)
{
    const struct layer_spec specs[] = {
        tiny_layer("one_hot", "", 1, (long[]){(long)V}),
        tiny_layer("linear", "head", 2, (long[]){(long)V, (long)V}),
    };
    float *weight = memory_new(V * V, sizeof *weight);
    ck_assert_ptr_nonnull(weight);
    for (size_t i = 0; i < V; i++)
        for (size_t j = 0; j < V; j++) weight[j * V + i] = table[i * V + j];
    struct network *network = build(specs, 2, weight, NULL);
    memory_free(weight);
    return network;
}

struct network *jobs_chain_network(size_t V, const int32_t *next)
{
    float *table = memory_new(V * V, sizeof *table);
    ck_assert_ptr_nonnull(table);
    for (size_t i = 0; i < V; i++) table[i * V + (size_t)next[i]] = 80;
    struct network *network = jobs_bigram_network(V, table);
    memory_free(table);
    return network;
}

struct network *jobs_linear_network(size_t n_inputs, size_t n_outputs, const float *W,
                                    const float *b)
{
    const struct layer_spec spec =
        tiny_layer("linear", "head", 2, (long[]){(long)n_inputs, (long)n_outputs});
    return build(&spec, 1, W, b);
}

static struct tokenizer *tokenizer_of(const struct tokenizer_spec *spec)
{
    struct tokenizer *tokenizer = NULL;
    struct error err = {0};
    enum status status = tokenizer_new(spec, &tokenizer, &err);
    ck_assert_msg(status == STATUS_OK, "%s", err.message);
    return tokenizer;
}

struct tokenizer *jobs_bytes(void)
{
    return tokenizer_of(&(struct tokenizer_spec){.type = "bytes"});
}

struct tokenizer *jobs_tokenizer(const char *type, const char *const *vocabulary, const char *bos,
                                 const char *eos)
{
    size_t bytes[64], n = 0;
    for (; vocabulary[n]; n++) bytes[n] = strlen(vocabulary[n]);
    return tokenizer_of(&(struct tokenizer_spec){.type = type, .vocabulary = vocabulary,
                                                 .vocabulary_bytes = bytes, .n_vocabulary = n,
                                                 .bos_token = bos, .eos_token = eos});
}

struct tokenizer *jobs_letters(const char *letters)
{
    char text[64][2];
    const char *vocabulary[65] = {0};
    for (size_t i = 0; letters[i]; i++) {
        text[i][0] = letters[i];
        text[i][1] = 0;
        vocabulary[i] = text[i];
    }
    return jobs_tokenizer("characters", vocabulary, NULL, NULL);
}

struct scheduler *jobs_scheduler(size_t n_workers, size_t chunk_steps, size_t max_batch)
{
    struct scheduler_options options = {
        .n_workers = n_workers, .max_batch = max_batch, .chunk_steps = chunk_steps,
        .max_rows = 512, .queue = {.sequences = 1000, .steps = 1000000}};
    struct scheduler *scheduler = NULL;
    struct error err = {0};
    enum status status = scheduler_new(&options, &scheduler, &err);
    ck_assert_msg(status == STATUS_OK, "%s", err.message);
    return scheduler;
}

static void count(struct jobs_witness *witness, int *counter)
{
    pthread_mutex_lock(&witness->mu);
    ++*counter;
    pthread_cond_broadcast(&witness->changed);
    pthread_mutex_unlock(&witness->mu);
}

static void on_progress(void *context)
{
    struct jobs_witness *witness = context;
    count(witness, &witness->n_progress);
}

static void on_finished(void *context)
{
    struct jobs_witness *witness = context;
    count(witness, &witness->n_finished);
}

void jobs_witness_init(struct jobs_witness *witness)
{
    memset(witness, 0, sizeof *witness);
    pthread_mutex_init(&witness->mu, NULL);
    pthread_cond_init(&witness->changed, NULL);
}

struct job_options jobs_options(struct jobs_witness *witness)
{
    return (struct job_options){
        .observer = {.progress = on_progress, .finished = on_finished, .context = witness}};
}

/* Waits until *counter is over n; gives it. */
static int wait_for(struct jobs_witness *witness, const int *counter, int n)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += patience_ms(AWAIT_MS) / 1000;
    pthread_mutex_lock(&witness->mu);
    int error = 0;
    while (*counter <= n && error == 0)
        error = pthread_cond_timedwait(&witness->changed, &witness->mu, &until);
    int now = *counter;
    pthread_mutex_unlock(&witness->mu);
    ck_assert_msg(error == 0, "nothing happened for long");
    return now;
}

void jobs_wait(struct jobs_witness *witness)
{
    ck_assert_int_eq(wait_for(witness, &witness->n_finished, 0), 1);
}

int jobs_wait_progress(struct jobs_witness *witness, int n_seen)
{
    return wait_for(witness, &witness->n_progress, n_seen);
}

enum status jobs_run(struct job *job, struct scheduler *scheduler, struct jobs_witness *witness)
{
    ck_assert_int_eq(job_start(job, scheduler), STATUS_OK);
    jobs_wait(witness);
    return job_status(job);
}
