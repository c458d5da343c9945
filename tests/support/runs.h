/* runs: generations for tests, on models whose text is known: tables made by hand, and a tiny LSTM where
 * a state matters. */
#ifndef CAROUSEL_TESTS_SUPPORT_RUNS_H
#define CAROUSEL_TESTS_SUPPORT_RUNS_H

#include "models/generation/generation.h"
#include "tests/support/jobs.h"

/* The letters of the models' tokenizer, one token each: a is 0. */
enum { RUNS_V = 8 };

struct model *runs_chain_model(void); /* a b c d e f g h a ... */
struct model *runs_lstm_model(void);
struct model *runs_table_model(const float *table); /* [RUNS_V, RUNS_V] logits */
/* Bytes, each followed by the one after it in `text`, the last by the first. */
struct model *runs_bytes_model(const char *text);
/* "<s> the cat sat </s>", in words: bos 0, the 1, cat 2, sat 3, eos 4. */
struct model *runs_words_model(void);

extern const struct token_span runs_a, runs_abc; /* prompts */

/* One choice a prompt, at temperature 1. */
struct generation_request runs_request(const struct token_span *prompts, size_t n_prompts,
                                       size_t max_tokens);
void runs_stop(struct generation_request *request, const char *stop);

struct run {
    struct jobs_witness witness;
    struct generation *generation;
    struct job *job;
};

/* Goes on from a state (NULL: none), and keeps its own; to its end. */
void run_on(struct run *run, struct model *model, const struct generation_request *request,
            const struct state *from);
void run_new(struct run *run, struct model *model, const struct generation_request *request);
/* To its end: one worker, four steps a turn, eight sequences a turn. */
void run_alone(struct run *run, struct model *model, const struct generation_request *request);
void run_check(struct run *run, size_t choice, const char *text, enum finish_reason finish);
void run_text(struct run *run, size_t choice, char out[64]);

#endif
