/* translation: the job that reads a source with an encoder and writes a target with a decoder, by beam
 * search or by draws.
 *
 * A beam of B hypotheses is one sequence with B seats: its rides are in the same turn, and hypotheses change
 * places by pointers to their states. Of all continuations of a step the 2 B likeliest count. Those among
 * the first B that end in eos are finished; of the others the first B go on. The search ends when B
 * hypotheses are finished, or at max_tokens, and then those that go on count as they are ("early stopping"
 * in Hugging Face's generate). Finished ones are ranked by
 *
 *     ln p / n^length_penalty + coverage_penalty x sum over the source of ln min(1, attention that it got)
 *
 * (Wu et al., "Google's neural machine translation system", 2016), where n counts their tokens and eos, and
 * the attention is that of the decoder's last attention layer. One beam is greedy decoding. Equal scores: the
 * earlier hypothesis first, then the lower token.
 *
 * A target may begin as is given, which all hypotheses then share. So a translation can be gone on with, or
 * branched: its state are the tokens of its source and of its best target. They are read again, because a
 * source is read whole; the result is that of one request, if that has one beam, or draws of the same seed.
 *
 * With a temperature nothing is searched: B hypotheses are drawn, each by itself (sampler.h) and from a
 * stream of random numbers of its own, and ranked in the same way. Two may be the same. */
#ifndef CAROUSEL_MODELS_TRANSLATION_H
#define CAROUSEL_MODELS_TRANSLATION_H

#include "models/bundle/coder.h"
#include "models/jobs/reading.h"

enum {
    LANGUAGE_BYTES = 16,
    TRANSLATION_MAX_BEAMS = 16,
    TRANSLATION_MAX_TOKENS = 1 << 14,
    TRANSLATION_MAX_ATTENTION = 1 << 22 /* weights kept of an input: source steps x beams x max_tokens */
};

/* config.json's "translation". */
struct translation_spec {
    struct coder_spec coder;
    long num_beams, max_tokens;
    double length_penalty, coverage_penalty;
    bool split_sentences;               /* texts are cut into sentences: the model has read such only */
    char source[LANGUAGE_BYTES], target[LANGUAGE_BYTES]; /* "en", "pt-BR"; "" if the bundle does not say */
};
const struct translation_spec *translation_spec_of(const struct model *model);

/* For other tasks that write a target by this job. Their spec begins with a struct translation_spec. */
extern const struct section section_translation;
void translation_set_defaults(void *spec);
enum status translation_check(const struct parts *parts, const struct task *task,
                              struct error *err) MUST_CHECK;
void translation_inspect(const struct view *view);
size_t translation_facts(const struct model *model, struct fact *facts);

/* Borrowed until translation_new returns. */
struct translation_request {
    const struct token_span *inputs;    /* [n_inputs] each of 1 token or more, without bos and eos */
    const struct input *rows;           /* [n_inputs] in their place if the encoder reads numbers */
    const char *field;                  /* by which sentences name the inputs; NULL: "input" */
    size_t n_inputs;
    const size_t *texts;                /* [n_inputs] of which "input" each is a piece, for error messages; */
    size_t n_texts;                     /* NULL: itself */
    enum ability ability;               /* what the route asks of the model: TRANSLATE, PRONOUNCE ... */
    size_t num_beams, n_best;           /* 1 to TRANSLATION_MAX_BEAMS; 1 to num_beams */
    const int32_t *given;               /* [n_given] how the target begins; NULL: nothing is said of that */
    size_t n_given;                     /* < max_tokens */
    size_t max_tokens;                  /* of a target, given ones included, 1 to TRANSLATION_MAX_TOKENS */
    double length_penalty, coverage_penalty; /* 0 to 10 each; coverage needs a decoder that attends */
    double temperature, top_p;          /* 0 to 2, 0: a search; num_beams are the draws; 0 to 1 */
    uint64_t seed;                      /* of the draws: draw k of input i is always the same */
    bool keeps_attention;               /* for translation_attention */
    bool streams;                       /* for translation_written; of one beam or draw */
    size_t max_whole_steps, max_seats;  /* scheduler_max_rows, scheduler_max_seats */
};

struct translation;

/* What the state of a translation says: spans of its bytes, copied to ids[0..n_source + n_target), which are
 * from memory_new, the caller's. */
struct translation_kept {
    uint64_t seed;
    uint32_t n_source, n_target;
    int32_t *ids;
};
/* false, with *err: no translation of this model wrote it, or there is no memory. */
bool translation_read_kept(const struct model *model, const struct state *state,
                           struct translation_kept *kept, struct error *err);

/* STATUS_UNSUPPORTED if the model has not the ability; STATUS_BAD_VALUE or STATUS_TOO_LONG with the field's
 * name. */
enum status translation_new(struct model *model, const struct translation_request *request,
                            const struct job_options *options, struct translation **out,
                            struct error *err) MUST_CHECK;
struct job *translation_job(struct translation *translation);

struct translation_result {
    const int32_t *tokens; /* [n] without bos and eos */
    size_t n;
    double log_probability; /* of the tokens, and of eos if the target ended */
    double score;           /* by which it was ranked */
    bool has_ended;         /* by eos; else by max_tokens */
    size_t _last;           /* the hypothesis that it was */
};

/* The results of input i, best first, once the job is finished: at most n_best, fewer if the search found
 * fewer or was ended early. */
const struct translation_result *translation_results(const struct translation *translation, size_t i,
                                                     size_t *n);

/* The text of input i as it is written, of a job that streams: [n] bytes, whole code points, which never
 * change. The observer's progress() says that there may be more. Any one thread, while it runs and later. */
struct translation_text {
    const char *text;
    size_t n;
    bool has_ended; /* the result is there: nothing will follow. Not set if the job ends early */
};
void translation_written(const struct translation *translation, size_t i, struct translation_text *out);

/* The seed of the draws; NULL if it is a search. */
const uint64_t *translation_seed(const struct translation *translation);

const struct model *translation_model(const struct translation *translation);

/* The source steps of input i: its tokens, with bos and eos, if the model adds them; NULL if they are
 * rows of numbers. *n: how many. */
const int32_t *translation_source(const struct translation *translation, size_t i, size_t *n);

/* Write how much each token of a result of input i, and eos if it has ended, attended to each source step, by
 * the decoder's last attention layer: out [n + has_ended, source steps], rows that sum to 1. false: the
 * decoder attends to nothing, or the request keeps no attention. */
bool translation_attention(const struct translation *translation, size_t i,
                           const struct translation_result *result, float *out);

#endif
