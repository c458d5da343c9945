#include "tests/support/plans.h"

#include <check.h>
#include <string.h>

#include "tests/support/tiny.h"

const struct plan plans[] = {
    {"generator", {{"one_hot", "", {40}, 1}, {"lstm", "l", {40, 48, 2}, 3},
                   {"linear", "f", {48, 40}, 2}}},
    {"words", {{"embedding", "e", {50, 9}, 2}, {"dropout", "", {0}, 0}, {"lstm", "l", {9, 17}, 2},
               {"linear", "f", {17, 8}, 2}, {"relu", "", {0}, 0}, {"linear", "g", {8, 50}, 2}}},
    {"series", {{"lstm", "l", {3, 33, 2, 0}, 4}, {"linear", "f", {33, 2}, 2}}},
    {"bounded", {{"linear", "f", {3, 20}, 2}, {"tanh", "", {0}, 0}, {"lstm", "l", {20, 16}, 2},
                 {"lstm", "m", {16, 5}, 2}}},
    {"projected", {{"lstm", "l", {3, 17, 2, 1, 0, 6}, 6}, {"linear", "f", {6, 4}, 2}}},
    {"mean", {{"lstm", "l", {3, 16}, 2}, {"pooling", "", {1}, 1}, {"linear", "f", {16, 4}, 2}}},
    {"max", {{"embedding", "e", {50, 4}, 2}, {"lstm", "l", {4, 5}, 2}, {"pooling", "", {2}, 1},
             {"sigmoid", "", {0}, 0}}},
    {"last", {{"lstm", "l", {3, 16}, 2}, {"pooling", "", {0}, 1}}},
    {"both", {{"embedding", "e", {50, 6}, 2}, {"lstm", "l", {6, 17, 2, 1, 1}, 5},
              {"pooling", "", {0}, 1}, {"linear", "f", {34, 3}, 2}}},
    {"both_projected", {{"linear", "f", {3, 9}, 2}, {"sigmoid", "", {0}, 0},
                        {"lstm", "l", {9, 16, 2, 1, 1, 5}, 6}, {"linear", "g", {10, 3}, 2}}},
    {"unfolded", {{"embedding", "e", {50, 6}, 2}, {"linear", "f", {6, 5}, 2},
                  {"lstm", "l", {5, 8}, 2}}},
    {"gru", {{"embedding", "e", {50, 9}, 2}, {"gru", "g", {9, 70, 2}, 3}, {"linear", "f", {70, 4}, 2}}},
    {"gru_original", {{"gru", "g", {3, 70, 2, 1, 0, 0}, 6}, {"gelu", "", {0}, 0}}},
    {"gru_both", {{"gru", "g", {3, 17, 2, 1, 1}, 5}, {"pooling", "", {0}, 1}}},
    {"gru_original_both", {{"gru", "g", {3, 17, 2, 1, 1, 0}, 6}, {"silu", "", {0}, 0}}},
    {"gru_initial", {{"gru", "g", {3, 17, 2, 1, 0, 1, 1, 0, 0, 1}, 10}}},
    {"norms", {{"linear", "f", {3, 20}, 2}, {"layer_norm", "n", {20}, 1}, {"gru", "g", {20, 24}, 2},
               {"group_norm", "m", {24, 0, 1, 1, 4}, 5}, {"rms_norm", "r", {24}, 1},
               {"softmax", "", {0}, 0}}},
    {"conv_causal", {{"embedding", "e", {50, 6}, 2}, {"conv1d", "c", {6, 20, 4, 0}, 4}, {"relu", "", {0}, 0},
                     {"conv1d", "d", {20, 20, 3, 0, 1, 2, 20}, 7}, {"lstm", "l", {20, 9}, 2}}},
    {"conv_bounded", {{"rnn", "r", {3, 9}, 2}, {"conv1d", "c", {9, 70, 6, 0, 0}, 5}}},
    {"conv_same", {{"conv1d", "c", {3, 20, 4, 1}, 4}, {"conv1d", "d", {20, 20, 3, 1, 1, 2, 20}, 7},
                   {"gru", "g", {20, 9, 1, 1, 1}, 5}, {"pooling", "", {4}, 1}}},
    {"sum", {{"gru", "g", {3, 16}, 2}, {"pooling", "", {3}, 1}, {"linear", "f", {16, 4}, 2}}},
    {"attention", {{"lstm", "l", {3, 16}, 2}, {"attention_pooling", "a", {16, 20}, 2},
                   {"linear", "f", {16, 4}, 2}}},
    {"attention_plain", {{"gru", "l", {3, 16, 1, 1, 1}, 5}, {"attention_pooling", "a", {32}, 1}}},
    {"flatten", {{"lstm", "l", {3, 16}, 2}, {"flatten", "", {7}, 1}, {"linear", "f", {112, 4}, 2}}},
    {"slstm", {{"linear", "f", {3, 20}, 2}, {"tanh", "", {0}, 0}, {"slstm", "s", {20, 5}, 2},
               {"group_norm", "m", {20, 0, 1, 0, 5}, 5}, {"gated_feed_forward", "g", {20, 33}, 2}}},
    {"slstm_exp", {{"embedding", "e", {50, 34}, 2}, {"slstm", "s", {34, 1, 1}, 3},
                   {"gated_feed_forward", "g", {34, 9, 1, 1}, 4}, {"pooling", "", {0}, 1}}},
    {"rnn", {{"linear", "f", {3, 20}, 2}, {"gelu_tanh", "", {0}, 0}, {"rnn", "r", {20, 70, 2}, 3}}},
    {"rnn_backwards", {{"rnn", "r", {3, 9, 1, 1, 0, 1, 1}, 7}, {"pooling", "", {1}, 1}}},
    {"lstm_keras2", {{"lstm", "l", {3, 17, 2, 1, 0, 0, 2, 1}, 8}, {"hard_sigmoid", "", {0}, 0}}},
    {"lstm_peepholes", {{"embedding", "e", {50, 9}, 2}, {"lstm", "l", {9, 33, 1, 1, 0, 0, 0, 0, 1}, 9}}},
    {"lstm_initial", {{"lstm", "l", {3, 17, 2, 1, 0, 5, 0, 0, 0, 0, 1}, 11}}},
};
const int n_plans = sizeof plans / sizeof *plans;

const struct plan wide_plans[] = {
    {"wide", {{"embedding", "e", {50, 60}, 2}, {"lstm", "l", {60, 300, 2}, 3},
              {"linear", "f", {300, 200}, 2}}},
    {"wide_projected", {{"lstm", "l", {30, 170, 2, 1, 0, 150}, 6}}},
    {"wide_gru", {{"embedding", "e", {50, 60}, 2}, {"gru", "g", {60, 300, 2}, 3}}},
    {"wide_gru_original", {{"gru", "g", {60, 200, 1, 1, 0, 0}, 6}}},
    {"wide_rnn", {{"rnn", "r", {60, 500}, 2}}},
    {"wide_both", {{"lstm", "l", {30, 130, 2, 1, 1}, 5}, {"pooling", "", {0}, 1}}},
};
const int n_wide_plans = sizeof wide_plans / sizeof *wide_plans;

size_t plan_specs(const struct plan *plan, struct layer_spec specs[PLAN_MAX_LAYERS])
{
    size_t n = 0;
    for (; n < PLAN_MAX_LAYERS && plan->layers[n].type; n++)
        specs[n] = tiny_layer(plan->layers[n].type, plan->layers[n].prefix, plan->layers[n].n,
                              plan->layers[n].values);
    return n;
}

struct network *plan_build(const struct plan *plan, enum precision precision)
{
    struct layer_spec specs[PLAN_MAX_LAYERS];
    struct network *network = NULL;
    struct error err = {0};
    size_t n = plan_specs(plan, specs);
    enum status status = network_new(specs, n, tiny_tensors(), precision, &network, &err);
    ck_assert_msg(status == STATUS_OK, "%s: %s", plan->name, err.message);
    return network;
}

const struct plan *plan_named(const char *name)
{
    for (int i = 0; i < n_plans; i++)
        if (!strcmp(plans[i].name, name)) return &plans[i];
    ck_abort_msg("no plan '%s'", name);
    return NULL;
}
