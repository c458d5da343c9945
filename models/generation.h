/* generation: prompts to text, one token a step, fed back. Task text-generation.
 *
 * Sampling, in this order (the names are OpenAI's and Hugging Face's): repetition_penalty (Keskar et al.
 * 2019, over prompt and output), presence_penalty and frequency_penalty (over the output), logit_bias,
 * temperature, top_k, top_p (Holtzman et al. 2020), min_p (Nguyen et al. 2024), then one draw. temperature 0
 * is greedy. Reported log-probabilities are of the model's own distribution, before any of these. A choice's
 * draws depend on (seed, choice index) alone. */
#ifndef CAROUSEL_MODELS_GENERATION_H
#define CAROUSEL_MODELS_GENERATION_H

#include "models/job.h"

enum { GENERATION_MAX_STOPS = 8, GENERATION_MAX_STOP_BYTES = 1024, GENERATION_MAX_LOGPROBS = 20 };

struct token_span {
    const int32_t *ids;
    size_t n;
};

struct logit_bias {
    int32_t id;
    float bias; /* [-100, 100] */
};

/* Borrowed for the call of generation_new, which copies what it needs. Ranges are those of
 * docs/http-api.md. */
struct generation_request {
    const struct token_span *prompts; /* without bos, which is put before each where the model has one */
    size_t n_prompts;
    size_t max_tokens;                /* 0 only with echo */
    size_t n, best_of;                /* best_of >= n >= 1: choices a prompt returned, and tried */
    double temperature, top_p, min_p, repetition_penalty, presence_penalty, frequency_penalty;
    size_t top_k;                     /* 0: all */
    uint64_t seed;
    int logprobs;                     /* -1: none; else so many alternatives, 0..20 */
    bool echo;
    const char *stops[GENERATION_MAX_STOPS];
    size_t stop_bytes[GENERATION_MAX_STOPS];
    size_t n_stops;
    const struct logit_bias *biases;
    size_t n_biases;
    size_t max_unread; /* tokens: a choice pauses while its reader is so far behind; 0: never */
};

enum finish_reason { FINISH_NONE, FINISH_STOP, FINISH_LENGTH };

struct token_logprob {
    int32_t id;
    float logprob;
};

/* One choice, for the reader. With echo, tokens and text begin with the prompt's. */
struct generation_choice {
    const char *text;              /* [n_text] UTF-8 where the model wrote UTF-8; never cut in a code point;
                                    * what may begin a stop string is held back until it is decided */
    size_t n_text;
    const int32_t *tokens;         /* [n_tokens]: tokens whose text is wholly inside n_text */
    size_t n_tokens;
    const size_t *text_offsets;    /* [n_tokens] bytes, where each token's text begins */
    const float *logprobs;         /* [n_tokens] where asked; NaN for the first token of a sequence */
    const struct token_logprob *top; /* [n_tokens, n_top] best first; where asked */
    size_t n_top;
    enum finish_reason finish;     /* FINISH_NONE while running */
};

struct generation;

enum status generation_new(struct model *model, const struct generation_request *request,
                           const struct job_options *options, struct generation **out,
                           struct error *err) MUST_CHECK;
struct job *generation_job(struct generation *generation);

/* Choices 0..n_prompts*n, prompt by prompt. While running, readable for a consistent prefix of the output
 * (best_of > n: only once finished). Any one thread. */
size_t generation_n_choices(const struct generation *generation);
void generation_read(struct generation *generation, size_t choice, struct generation_choice *out);
/* The reader has taken the first n_tokens of the choice: lets it go on where it was paused. Only while
 * running. */
void generation_consumed(struct generation *generation, size_t choice, size_t n_tokens);

size_t generation_prompt_tokens(const struct generation *generation);
size_t generation_completion_tokens(const struct generation *generation); /* of all tried */

#endif
