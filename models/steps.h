/* steps: inputs as the steps that a network reads, copied for a job. For the tasks that read a
 * whole sequence (classification, embedding). Private to those files. */
#ifndef CAROUSEL_MODELS_STEPS_H
#define CAROUSEL_MODELS_STEPS_H

#include "models/arena.h"
#include "models/classification.h"

struct steps {
    int32_t *tokens; /* [n] with bos and eos where the model puts them; or NULL */
    float *features; /* [n, input_size] scaled; or NULL */
    size_t n, n_fed;
};

/* Each of inputs[0..n) has what this model reads, and can ride. */
enum status steps_check(const struct model *model, const struct classification_input *inputs,
                        size_t n, size_t max_whole_steps, struct error *err) MUST_CHECK;

/* Cut room for one input; then fill it. Filling fails with STATUS_BAD_VALUE where a feature is not
 * finite, or is not once scaled; `field` names the input. */
void steps_lay_out(struct steps *steps, const struct model *model,
                   const struct classification_input *input, struct arena *arena);
enum status steps_fill(struct steps *steps, const struct model *model,
                       const struct classification_input *input, const char *field,
                       struct error *err) MUST_CHECK;

/* The next ride of at most `room` steps: with `look` where that is LOOK_ALL, else with LOOK_LAST at
 * the end and LOOK_NONE before it. */
void steps_feed(const struct steps *steps, const struct network *network, size_t room,
                enum look look, struct ride *ride);

/* After a ride; true where it was the last. */
bool steps_take(struct steps *steps, const struct ride *ride);

#endif
