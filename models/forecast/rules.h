/* rules: number sequences that follow a rule exactly: 1, 2, 3; 2, 4, 8; 1, 4, 9; 1, 3, 7, 15.
 *
 * A rule foretells a term from those before it. It is followed if it has foretold every term that it could,
 * within rounding. The rules are tried in the order of the enum, simple ones first. Each needs to have been
 * right about a number of terms. One term alone is repeated, two make a line. Pure; any thread. */
#ifndef CAROUSEL_MODELS_RULES_H
#define CAROUSEL_MODELS_RULES_H

#include <stdbool.h>
#include <stddef.h>

enum rule_kind {
    RULE_CONSTANT,    /* x[t-1] */
    RULE_LINE,        /* 2 x[t-1] - x[t-2] */
    RULE_GEOMETRIC,   /* a x[t-1] */
    RULE_SUM,         /* x[t-1] + x[t-2] */
    RULE_QUADRATIC,   /* third differences are 0 */
    RULE_AFFINE,      /* a x[t-1] + b */
    RULE_SIGN_LINE,   /* a line whose sign changes at every term */
    RULE_LAG,         /* x[t-lag], lag 2 to RULES_LONGEST_LAG */
    RULE_CUBIC,       /* fourth differences are 0 */
    RULE_SECOND_LINE, /* each second term is on a line */
    RULE_SECOND_GEOMETRIC, /* a x[t-2] */
    RULE_RECURRENCE,  /* a x[t-1] + b x[t-2] */
    N_RULES
};
enum { RULES_LONGEST_LAG = 12, RULES_SPAN = 12, RULES_WINDOW = 256 };

struct rule {
    enum rule_kind kind;
    size_t lag;  /* RULE_LAG */
    double a, b; /* fitted: RULE_GEOMETRIC, RULE_AFFINE, RULE_SECOND_GEOMETRIC, RULE_RECURRENCE */
};

/* Return true, and the rule in *out, if x[0..n) follows one; n >= 1. */
bool rules_find(const double *x, size_t n, struct rule *out);

/* How many terms rules_next looks at. */
size_t rules_span(const struct rule *rule);

/* The term after last[0], last[1] before it, and so on: last [rules_span]; terms before the start are 0. */
double rules_next(const struct rule *rule, const double *last);

/* x rounded to 15 digits, so that a number which was scaled and put back is the one that was sent. */
double rules_round(double x);

#endif
