#include "models/forecast/rules.h"

#include <math.h>

/* A rule may be wrong by so much of the size of the terms that it looks at, because they were rounded, and by
 * so much of how far they lie apart, so that 1e12, 1e12 + 1, 1e12 + 2 is no constant. */
static const double EXACT = 1e-12, EXPLAINED = 0.01;

/* How many terms a rule looks at, how many fit its numbers, and how many it must be right about. */
static const struct {
    size_t span, fit, right;
} needs[N_RULES] = {
    [RULE_CONSTANT] = {1, 1, 1},
    [RULE_LINE] = {2, 2, 1},
    [RULE_GEOMETRIC] = {1, 2, 1},
    [RULE_SUM] = {2, 2, 2},
    [RULE_QUADRATIC] = {3, 3, 1},
    [RULE_AFFINE] = {1, 3, 1},
    [RULE_SIGN_LINE] = {2, 2, 2},
    [RULE_CUBIC] = {4, 4, 1},
    [RULE_LAG] = {RULES_LONGEST_LAG, 1, 2},
    [RULE_SECOND_LINE] = {4, 4, 2},
    [RULE_SECOND_GEOMETRIC] = {2, 3, 2},
    [RULE_RECURRENCE] = {2, 4, 2},
};

size_t rules_span(const struct rule *rule)
{
    return rule->kind == RULE_LAG ? rule->lag : needs[rule->kind].span;
}

double rules_round(double x)
{
    enum { DIGITS = 15, MOST = 22 }; /* powers of ten up to the 22nd are exact */
    double places = DIGITS - 1 - floor(log10(fabs(x)));
    if (!(places >= 0 && places <= MOST)) return x;
    double power = pow(10, places);
    return round(x * power) / power;
}

double rules_next(const struct rule *rule, const double *x)
{
    switch (rule->kind) {
    case RULE_CONSTANT: return x[0];
    case RULE_LINE: return 2 * x[0] - x[1];
    case RULE_GEOMETRIC: return rule->a * x[0];
    case RULE_SUM: return x[0] + x[1];
    case RULE_QUADRATIC: return 3 * x[0] - 3 * x[1] + x[2];
    case RULE_AFFINE: return rule->a * x[0] + rule->b;
    case RULE_SIGN_LINE: return -2 * x[0] - x[1];
    case RULE_CUBIC: return 4 * x[0] - 6 * x[1] + 4 * x[2] - x[3];
    case RULE_LAG: return x[rule->lag - 1];
    case RULE_SECOND_LINE: return 2 * x[1] - x[3];
    case RULE_SECOND_GEOMETRIC: return rule->a * x[1];
    case RULE_RECURRENCE: return rule->a * x[0] + rule->b * x[1];
    case N_RULES: break;
    }
    return x[0];
}

/* Fit the rule's numbers to the first terms x, of which there are enough. Return false if none fit. */
static bool fit(struct rule *rule, const double *x)
{
    if (rule->kind == RULE_GEOMETRIC) rule->a = x[1] / x[0];
    if (rule->kind == RULE_SECOND_GEOMETRIC) rule->a = x[2] / x[0];
    if (rule->kind == RULE_AFFINE) {
        rule->a = (x[2] - x[1]) / (x[1] - x[0]);
        rule->b = x[1] - rule->a * x[0];
    }
    if (rule->kind == RULE_RECURRENCE) {
        double determinant = x[1] * x[1] - x[2] * x[0];
        rule->a = (x[2] * x[1] - x[3] * x[0]) / determinant;
        rule->b = (x[1] * x[3] - x[2] * x[2]) / determinant;
    }
    return isfinite(rule->a) && isfinite(rule->b);
}

/* Return true if the rule has foretold every term of x[0..n) that it could. */
static bool holds(const struct rule *rule, const double *x, size_t n)
{
    double last[RULES_SPAN];
    size_t span = rules_span(rule);
    for (size_t t = span; t < n; t++) {
        double low = x[t], high = x[t];
        for (size_t k = 0; k < span; k++) {
            last[k] = x[t - 1 - k];
            low = fmin(low, last[k]);
            high = fmax(high, last[k]);
        }
        double most = fmin(EXACT * fmax(fabs(low), fabs(high)), EXPLAINED * (high - low));
        if (!(fabs(rules_next(rule, last) - x[t]) <= most)) return false;
    }
    return true;
}

bool rules_find(const double *x, size_t n, struct rule *out)
{
    if (n <= 2) {
        *out = (struct rule){.kind = n == 1 ? RULE_CONSTANT : RULE_LINE};
        return true;
    }
    for (enum rule_kind kind = 0; kind < N_RULES; kind++)
        for (size_t lag = 2; lag <= (kind == RULE_LAG ? RULES_LONGEST_LAG : 2); lag++) {
            struct rule rule = {.kind = kind, .lag = lag};
            size_t span = rules_span(&rule), first = span > needs[kind].fit ? span : needs[kind].fit;
            if (n < first + needs[kind].right || !fit(&rule, x) || !holds(&rule, x, n)) continue;
            *out = rule;
            return true;
        }
    return false;
}
