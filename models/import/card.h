/* card: what the bundle will be, beside its network: task, tokenizer, labels, scaling and golden vectors.
 * Everything is borrowed from the pool. One thread. */
#ifndef CAROUSEL_MODELS_IMPORT_CARD_H
#define CAROUSEL_MODELS_IMPORT_CARD_H

#include "models/plan/options.h"
#include "models/plan/plan.h"
#include "models/tokenizers/tokenizer.h"

enum { CARD_MAX_LABELS = 1 << 16, CARD_MAX_VOCABULARY = 1 << 20 };

/* Texts by id. */
struct vocabulary {
    const char **items; /* [n] */
    size_t n;
    const char *type; /* of models/tokenizers/tokenizer.def */
    bool lowercase;
    const char *unk, *bos, *eos; /* NULL: none */
    bool splits;                 /* Keras' Tokenizer, which says how texts are cut: --split has no place */
    const char *filters;         /* characters between words; NULL: those of the type */
    const char *unknown;         /* what becomes of characters without an id; NULL: refused, or unk */
    const char *note;            /* what is not as in training; NULL: nothing */
    size_t ngrams[TOKENIZER_MAX_NGRAM], n_ngrams; /* 0: single tokens alone */
    const char *from;
};

struct task_row;

/* A row of numbers that a forecaster reads. */
struct card_column {
    const char *name, *role;
    size_t lead; /* how many steps ahead a step reads it */
};

struct card {
    const char *task;
    const struct task_row *row; /* what the task wants of a network */
    bool every_step;            /* a prediction answers at every step */
    bool has_vocabulary;
    struct vocabulary vocabulary;
    bool has_target; /* the decoder has a vocabulary of its own */
    struct vocabulary target;
    const char **labels; /* [n_labels] */
    size_t n_labels;
    bool sigmoid;
    const double *mean, *scale; /* [n_scaler] */
    size_t n_scaler;            /* 0: none */
    const char *pad;             /* the token that stands beside texts of fewer than pad_length */
    bool pads_right;             /* behind them, not before */
    size_t pad_length, pad_id;   /* 0: texts are not padded */
    size_t context_length;       /* of a forecaster; 0: it is none */
    struct card_column *columns; /* [n_columns] 0: one series alone */
    size_t n_columns;
    size_t horizon;              /* steps of an output; 0: the next value */
    double *levels;              /* [n_levels] of quantiles; 0: none */
    size_t n_levels;
    const char *shape[3];        /* [n_shape] the axes of an output */
    size_t n_shape;
    char *golden; /* the file that --golden gave, or NULL */
    size_t golden_bytes;
};

/* Read a file that the command line named, of at most `most` bytes; a zero byte follows it. */
MUST_CHECK enum status card_read_file(const char *path, size_t most, struct pool *pool, char **text,
                                      size_t *bytes, struct error *err);

/* --tokenizer: "bytes"; "characters" or "words", which are looked for in the checkpoint (NULL: there is
 * none); or a file: one token a line, a JSON array, a JSON object of ids, a pickle of either, Keras'
 * Tokenizer as JSON or pickled, or torchtext's Vocab pickled (itos). */
MUST_CHECK enum status card_vocabulary(const char *what, size_t wanted, bool lowercase,
                                       const struct node *checkpoint, struct pool *pool,
                                       struct vocabulary *out, struct error *err);

/* --scaler: {"mean": ..., "scale": ...}, or a pickled StandardScaler or MinMaxScaler of scikit-learn. */
MUST_CHECK enum status card_scaler(const char *path, struct pool *pool, struct card *card, struct error *err);

/* Settle all of it from the plan and the options; the plan may lose a pooling that the task does not need.
 * If a fact is missing, err->param is the flag that gives it. */
MUST_CHECK enum status card_settle(struct plan *plan, const struct options *options, struct card *card,
                                   struct error *err);

#endif
