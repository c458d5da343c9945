/* input: what a client sends as the steps that a network reads. Requests and golden vectors use the same
 * functions, so what is proved is what serves. Pure; any thread. */
#ifndef CAROUSEL_MODELS_INPUT_H
#define CAROUSEL_MODELS_INPUT_H

#include "models/bundle/model.h"

/* What a network is fed for one input: tokens or features, the other is NULL. */
struct steps {
    int32_t *tokens; /* [n] with bos and eos, if the model adds them */
    float *features; /* [n, input_size] scaled; of several seats one behind the other */
    size_t n;
    size_t n_seats;        /* sequences that the network reads together, n steps each; 0: one alone */
    enum ride_role *roles; /* [n_seats] or NULL */
};

/* Whether the model puts bos before a text and eos after it. */
bool input_puts_bos(const struct model *model);
bool input_puts_eos(const struct model *model);

/* Return how many steps n tokens become, with bos before them and, if the task reads it, eos after them, as
 * far as the tokenizer has these. A generator's eos ends a text and is not read. If the model pads, it is
 * pad_length: padding stands before shorter inputs, or behind them, and the last tokens of longer ones are
 * read. */
size_t input_text_steps(const struct model *model, size_t n);

/* Write those steps to out[input_text_steps]; ids may be NULL if n is 0. */
void input_text(const struct model *model, const int32_t *ids, size_t n, int32_t *out);

/* Write (x - mean) / scale to out; x and out [n_steps, input_size]. Computed in double, so that a small
 * difference on a large number (a timestamp, a coordinate) reaches the network. STATUS_BAD_VALUE with the
 * feature and the step if a result is not finite as a float. */
MUST_CHECK enum status input_features(const struct model *model, const double *x, size_t n_steps, float *out,
                                      struct error *err);

/* The same for golden cases: a string, or an array of rows of numbers, as a request writes them, of at most
 * GOLDEN_MAX_STEPS steps. The caller frees what is in *steps, also after a failure. */
MUST_CHECK enum status input_text_of(const struct model *model, const struct json *input, struct steps *steps,
                                     struct error *err);
MUST_CHECK enum status input_features_of(const struct model *model, const struct json *input,
                                         struct steps *steps, struct error *err);

/* The same for a model with a front end, by front_run; without one, by input_features_of. */
MUST_CHECK enum status input_front_of(const struct model *model, const struct json *input,
                                      struct steps *steps, struct error *err);

/* For tasks that read inputs of another form: the number what[i], from -most to most; and whether a case
 * has 1 to GOLDEN_MAX_STEPS steps. */
MUST_CHECK enum status input_read_number(const struct json *value, const char *what, size_t i, double most,
                                         double *x, struct error *err);
MUST_CHECK enum status input_check_steps(size_t n, struct error *err);

#endif
