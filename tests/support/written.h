/* written: small bundles that a test writes and then breaks.
 *
 * One bundle a task. Their networks have no lstm, so that every output can be checked by hand:
 *
 *   text-generation           one_hot 3 -> linear:            out = weight[:, last token] + bias
 *   text-classification       one_hot 4 -> pooling mean -> linear
 *   sequence-classification   pooling max -> linear, of the scaled features
 *   forecasting               linear, of the scaled value
 *
 * A break is an edit: the first occurrence of `old` in a file becomes `new`. The file name "header" means
 * the JSON header inside model.safetensors. */
#ifndef CAROUSEL_TESTS_SUPPORT_WRITTEN_H
#define CAROUSEL_TESTS_SUPPORT_WRITTEN_H

#include "models/bundle/model.h"
#include "tests/support/tmp.h"

/* Write the bundle of a task into the folder `name` of tmp. */
void written_bundle(const struct tmp *tmp, const char *name, enum task_id task);

/* A bundle of text-generation that recommends a precision, in its name; NULL: none. */
void written_recommending(const struct tmp *tmp, const char *name, const char *precision);
/* One that recommends int8, and whose weights are `large` and `small` in each row; the golden tolerance is
 * 1e-5. */
void written_rounding(const struct tmp *tmp, const char *name, float large, float small);
/* One that recommends int8, which is too coarse for its weights. */
void written_too_fine(const struct tmp *tmp, const char *name);

/* model_load of the bundle in folder "m", as m:1. */
enum status written_load(const struct tmp *tmp, enum precision precision, struct model **model,
                         struct error *err);

/* Let config.json name the sha256 that model.safetensors has now. */
void written_sum(const struct tmp *tmp, const char *name);
/* Flip one bit of a file: the lowest of byte `at` is number 8 * at. */
void written_flip(const struct tmp *tmp, const char *name, const char *file, size_t bit);

/* Aborts the test where `old` does not occur. */
void written_edit(const struct tmp *tmp, const char *name, const char *file, const char *old,
                  const char *new);

/* A safetensors file: eight bytes of length, the header, then data[0..n). */
void written_safetensors(const struct tmp *tmp, const char *file, const char *header,
                         const void *data, size_t n);

#endif
