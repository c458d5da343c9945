/* jobs: models made by hand, and jobs run to their end on a real scheduler, for the tests of the tasks. */
#ifndef CAROUSEL_TESTS_SUPPORT_JOBS_H
#define CAROUSEL_TESTS_SUPPORT_JOBS_H

#include <pthread.h>

#include "models/jobs/job.h"

/* A model that takes over `network` and `tokenizer` (which may be NULL) and has one reference. */
struct model *jobs_model(enum task_id task, struct network *network, struct tokenizer *tokenizer);
/* Fails the test where somebody else still holds a reference. */
void jobs_model_free(struct model *model);

/* one_hot -> linear: the logits after token i are table[i], [V, V]. */
struct network *jobs_bigram_network(size_t V, const float *table);
/* After token i comes next[i], all but surely. */
struct network *jobs_chain_network(size_t V, const int32_t *next);
/* linear: outputs = W inputs + b, W [n_outputs, n_inputs]. */
struct network *jobs_linear_network(size_t n_inputs, size_t n_outputs, const float *W,
                                    const float *b);

struct tokenizer *jobs_bytes(void);
/* One token a string, ended by NULL. bos and eos may be NULL. */
struct tokenizer *jobs_tokenizer(const char *type, const char *const *vocabulary, const char *bos,
                                 const char *eos);
/* One token a letter of an ASCII text. */
struct tokenizer *jobs_letters(const char *letters);

/* A scheduler with so many workers, steps a turn and sequences a turn. */
struct scheduler *jobs_scheduler(size_t n_workers, size_t chunk_steps, size_t max_batch);

/* Counts what an observer is told. */
struct jobs_witness {
    pthread_mutex_t mu;
    pthread_cond_t changed;
    int n_progress, n_finished;
};
void jobs_witness_init(struct jobs_witness *witness);
struct job_options jobs_options(struct jobs_witness *witness);
/* Waits until finished() was called; fails the test after patience_ms(AWAIT_MS). */
void jobs_wait(struct jobs_witness *witness);
/* Waits for more progress than n_seen; gives how much there is. */
int jobs_wait_progress(struct jobs_witness *witness, int n_seen);

/* Starts the job and waits for its end; gives its status. */
enum status jobs_run(struct job *job, struct scheduler *scheduler, struct jobs_witness *witness);

#endif
