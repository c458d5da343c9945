/* task: what a bundle is for, as one struct of functions, one file in models/tasks/ and one row of task.def.
 *
 * A task says what its models can do (routes and commands ask for an ability, never for a task), which
 * sections of config.json it reads, what it demands of the network, how an input becomes steps, and what
 * people see of it. Everything here is constant. Functions are called by any thread. */
#ifndef CAROUSEL_MODELS_TASK_H
#define CAROUSEL_MODELS_TASK_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/status.h"
#include "core/network/network.h"
#include "models/tokenizers/tokenizer.h"

struct bundle;
struct front; /* models/features/feature.h */
struct json;
struct model;
struct section; /* models/bundle/bundle.h */
struct steps;
struct view;

enum ability {
#define X(symbol, what) ABILITY_##symbol,
#include "models/bundle/ability.def"
    N_ABILITIES
};
#define CAN(symbol) (1u << ABILITY_##symbol)

/* The end of "model 'x' cannot ...". */
const char *ability_text(enum ability ability);

/* The keys of config.json that several tasks share (models/bundle/sections.c, labels.c). */
extern const struct section section_tokenizer, section_target_tokenizer, section_features, section_labels,
    section_activation;

/* What a task's check may compare; borrowed. */
struct parts {
    const struct bundle *bundle;
    const struct network *network;     /* perhaps without weights: only its form is known */
    const struct network *decoder;     /* the same; NULL unless the task has one */
    const struct tokenizer *tokenizer; /* NULL if the bundle has none */
    const struct tokenizer *target;    /* the decoder's: the same, unless the bundle has another */
    const struct front *front;         /* NULL if the bundle has none */
};

/* One line of GET /v1/models/{id}: a number that clients of the task need. */
struct fact {
    const char *name;
    double number; /* printed as an integer if it is one */
};

enum { TASK_SECTIONS = 6, TASK_FACTS = 12 };

struct task {
    const char *name; /* as config.json spells it: Hugging Face's name if there is one */
    unsigned abilities; /* CAN(...) | CAN(...) */
    struct {
        const struct section *section; /* NULL after the last */
        bool required;
    } sections[TASK_SECTIONS];
    bool may_pad;   /* texts are read whole: "tokenizer" may have a pad_length, */
    bool may_ngram; /* and ngrams */
    bool reads_eos; /* the tokenizer's eos, if it has one, ends each input */
    bool has_decoder; /* "network" is {"encoder", "decoder"}: what the first makes of a whole input is what
                         the second attends to, or begins with (models/bundle/coder.h) */

    bool has_front; /* "features" may describe a front end */

    int activation; /* an enum activation: of outputs, if the section "activation" is left out; 0: softmax */

    /* What config.json says to this task alone: bundle->spec and model->spec, a block of this size without
     * pointers, zeroed and then filled by `defaults`, which may be NULL. */
    size_t spec_bytes;
    void (*defaults)(void *spec);

    /* Compare the network with the rest of config.json. STATUS_BAD_VALUE or STATUS_BAD_SHAPE with a
     * sentence. */
    enum status (*check)(const struct parts *parts, struct error *err);

    /* Read what the task needs of the weights beside the networks' tensors into *out, which the caller then
     * owns; *out stays NULL if it needs nothing. out == NULL: only check that the tensors are there, with
     * their shapes (struct tensors, check). `check` has not been called yet. Fails as struct tensors does.
     * NULL: nothing. */
    enum status (*read)(const struct bundle *bundle, struct tensors *tensors, float **out, struct error *err);

    /* Turn the input of a golden case into what the network reads, by the function that turns requests into
     * it (models/bundle/input.h, models/forecast/series.h). The caller frees *out, also after a failure. */
    enum status (*steps)(const struct model *model, const struct json *input, struct steps *out,
                         struct error *err);

    /* What people see. Each may be NULL. `inspect` prints lines (models/bundle/inspect.h); `facts` fills at
     * most TASK_FACTS and returns how many. */
    void (*inspect)(const struct view *view);
    size_t (*facts)(const struct model *model, struct fact *facts);
};

enum task_id {
#define X(id, symbol) TASK_##id,
#include "models/bundle/task.def"
    N_TASKS
};
#define X(id, symbol) extern const struct task task_##symbol;
#include "models/bundle/task.def"

const struct task *task_of(enum task_id id);
bool task_can(const struct task *task, enum ability ability);
bool task_reads(const struct task *task, const struct section *section);

/* Fill out[0..max) with every section that some task reads, each once; return how many. */
size_t task_sections(const struct section **out, size_t max);

/* Checks that several tasks share; each names the task in its sentence. pooled: the network gives one vector
 * for a whole sequence. stepwise: it gives an output at every step. causal: it does so from what lies before
 * the step, because the steps to come are not known yet. tokens: it reads the tokenizer's tokens. numbers: it
 * reads rows of numbers. */
typedef enum status task_check(const struct parts *parts, const struct task *task, struct error *err);
MUST_CHECK task_check task_check_pooled, task_check_stepwise, task_check_causal, task_check_tokens,
    task_check_numbers;

#endif
