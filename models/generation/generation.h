/* generation: prompts to text, one token a step, fed back. Task text-generation.
 *
 * Sampling, in this order (the names are OpenAI's and Hugging Face's): repetition_penalty (Keskar et al.
 * 2019, over prompt and output), presence_penalty and frequency_penalty (over the output), logit_bias,
 * no_repeat_ngram_size (over both), temperature, top_k, top_p (Holtzman et al. 2020), min_p (Nguyen et al.
 * 2024), then one draw. temperature 0 is greedy. Reported log-probabilities are of the model's own
 * distribution, before any of these. A choice's draws depend on (seed, choice index) alone.
 *
 * A text can be kept and go on in a later request. Its parts then have the bytes of the text in one piece,
 * wherever it was cut. If a kept
 * text ends by its length, what may begin a stop string or a code point is left to its next part. */
#ifndef CAROUSEL_MODELS_GENERATION_H
#define CAROUSEL_MODELS_GENERATION_H

#include "models/jobs/job.h"
#include "models/jobs/state.h"
#include "models/jobs/tokens.h"

enum { GENERATION_MAX_STOPS = 8, GENERATION_MAX_STOP_BYTES = 1024, GENERATION_MAX_LOGPROBS = 20 };

/* What config.json's "generation" says of sampling; a request's own fields win. */
/* How the messages of a chat become a text: not at all; the contents, one under the other; or each after the
 * name of its role. */
enum chat_template { CHAT_NONE, CHAT_PLAIN, CHAT_ROLES };

struct generation_defaults {
    double temperature, top_p, min_p, repetition_penalty;
    long chat_template; /* enum chat_template */
    long top_k, no_repeat_ngram_size, max_tokens; /* 0: all; 0: runs may be repeated */
};
/* Of a model whose task is text-generation. */
static inline const struct generation_defaults *generation_defaults_of(const struct model *model)
{
    return model->spec;
}

struct logit_bias {
    int32_t id;
    float bias; /* [-100, 100] */
};

/* Borrowed for the call of generation_new, which copies what it needs. Ranges are those of
 * docs/http-api.md. */
struct generation_request {
    const struct token_span *prompts; /* without bos, which is put before each if the model has one */
    size_t n_prompts;
    size_t max_tokens;                /* 0 only with echo or options->keeps */
    size_t n, best_of;                /* best_of >= n >= 1: choices a prompt returned, and tried */
    double temperature, top_p, min_p, repetition_penalty, presence_penalty, frequency_penalty;
    size_t top_k;                     /* 0: all */
    size_t no_repeat_ngram_size;      /* 0: runs may be repeated; at most NGRAMS_WINDOW (ngrams.h) */
    uint64_t seed;                    /* that of options->from goes on with its draws, another begins anew */
    int logprobs;                     /* -1: none; else so many alternatives, 0..20 */
    bool echo;
    const char *stops[GENERATION_MAX_STOPS];
    size_t stop_bytes[GENERATION_MAX_STOPS];
    size_t n_stops;
    const struct logit_bias *biases;
    size_t n_biases;
    const struct state *prefix; /* after the first n_prefix tokens of the one prompt, bos included, which are
                                 * then not read again; fewer than all. Borrowed for the call; NULL: none */
    size_t n_prefix;
    bool marks;        /* of one prompt: generation_mark will be called */
    size_t max_unread; /* tokens: a choice pauses while its reader is so far behind; 0: never */
};

enum finish_reason { FINISH_NONE, FINISH_STOP, FINISH_LENGTH };

/* One choice, for the reader. With echo, tokens and text begin with the prompt's. */
struct generation_choice {
    const char *text;              /* [n_text] UTF-8 if the model wrote UTF-8; never cut in a code point;
                                    * what may begin a stop string is held back until it is decided */
    size_t n_text;
    const int32_t *tokens;         /* [n_tokens]: tokens whose text is wholly inside n_text */
    size_t n_tokens;
    const size_t *text_offsets;    /* [n_tokens] bytes, where each token's text begins */
    const float *logprobs;         /* [n_tokens] if asked; NaN for the first token of a sequence */
    const struct token_logprob *top; /* [n_tokens, n_top] best first; if asked */
    size_t n_top;
    enum finish_reason finish;     /* FINISH_NONE while running */
};

struct generation;

/* The request is one that the model can meet. Pure. generation_new asks this. */
enum status generation_check(const struct model *model, const struct generation_request *request,
                             const struct job_options *options, struct error *err) MUST_CHECK;
enum status generation_new(struct model *model, const struct generation_request *request,
                           const struct job_options *options, struct generation **out,
                           struct error *err) MUST_CHECK;
struct job *generation_job(struct generation *generation);

/* Choices 0..n_prompts*n, prompt by prompt. While running, readable for a consistent prefix of the output
 * (best_of > n: only once finished). Any one thread. */
size_t generation_n_choices(const struct generation *generation);
void generation_read(struct generation *generation, size_t choice, struct generation_choice *out);
/* The reader has taken the first n_tokens of the choice: lets it go on if it was paused. Only while
 * running. */
void generation_consumed(struct generation *generation, size_t choice, size_t n_tokens);

/* A beginning of the prompt that was read, once finished well: its tokens, bos included, and the network's
 * floats after them, which are the job's. false past the last one. */
enum { GENERATION_FIRST_MARK = 64, GENERATION_MARKS = 9 };
bool generation_mark(const struct generation *generation, size_t i, const int32_t **tokens, size_t *n,
                     const float **floats);

/* The seed of the text that a state was kept of; 0 if it is none of this task. */
int64_t generation_seed(const struct state *state);

size_t generation_prompt_tokens(const struct generation *generation);
size_t generation_completion_tokens(const struct generation *generation); /* of all tried */

#endif
