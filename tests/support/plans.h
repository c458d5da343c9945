/* plans: networks that between them have every layer type and every way through recurrent.c, with made-up
 * weights (tests/support/tiny.h). */
#ifndef CAROUSEL_TESTS_PLANS_H
#define CAROUSEL_TESTS_PLANS_H

#include "core/network/network.h"

enum { PLAN_MAX_LAYERS = 6, PLAN_MAX_VALUES = 11 };

struct plan {
    const char *name;
    struct {
        const char *type, *prefix;
        long values[PLAN_MAX_VALUES];
        size_t n;
    } layers[PLAN_MAX_LAYERS];
};

/* The plans, and those that are wide enough for a team to share their steps: several panels, and work enough
 * in one. */
extern const struct plan plans[], wide_plans[];
extern const int n_plans, n_wide_plans;

/* The layers of a plan; how many they are. */
size_t plan_specs(const struct plan *plan, struct layer_spec specs[PLAN_MAX_LAYERS]);
/* A plan as a network, which the caller owns. */
struct network *plan_build(const struct plan *plan, enum precision precision);
const struct plan *plan_named(const char *name);

#endif
