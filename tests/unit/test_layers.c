/* The layer types, each against a naive reference in double that knows no packing, no batch and no
 * kernels. The reference can be told to make a mistake (swap two gates, forget a bias), and must
 * then be far from the layer: so that these tests would notice if the layer made it. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/network/network.h"
#include "tests/support/active_set.h"
#include "tests/support/tiny.h"

enum { MAX_STEPS = 400 };

/* A mistake of the reference: swap gates a and b, or forget one bias. */
struct mistake {
    int swap_a, swap_b;
    const char *forget;
};

static const struct mistake no_mistake = {0, 0, NULL};

struct lstm_case {
    long values[6]; /* input_size hidden_size num_layers bias bidirectional proj_size */
    size_t T;
};

static const struct lstm_case lstm_cases[] = {
    {{1, 1, 1, 1, 0, 0}, 1},   {{3, 5, 1, 1, 0, 0}, 7},    {{2, 17, 2, 0, 0, 0}, 9},
    {{4, 33, 3, 1, 0, 0}, 5},  {{9, 64, 1, 1, 0, 0}, 3},   {{1, 100, 1, 1, 0, 0}, 4},
    {{3, 16, 1, 1, 0, 0}, MAX_STEPS}, {{5, 17, 1, 1, 1, 0}, 6}, {{3, 7, 2, 0, 1, 0}, 8},
    {{4, 17, 1, 1, 0, 5}, 6},  {{2, 33, 2, 0, 0, 32}, 7},  {{6, 9, 3, 1, 1, 1}, 5},
    {{3, 8, 2, 1, 1, 0}, MAX_STEPS},
};
enum { N_LSTM_CASES = sizeof lstm_cases / sizeof *lstm_cases };

/* The reference -------------------------------------------------------------------------- */

static float *take(const char *stem, size_t k, bool reverse, size_t rows, size_t columns)
{
    char name[64];
    float *values = NULL;
    snprintf(name, sizeof name, "l.%s_l%zu%s", stem, k, reverse ? "_reverse" : "");
    ck_assert_int_eq(tiny_tensors()->take(tiny_tensors(), name, columns ? 2 : 1,
                                          (size_t[]){rows, columns}, &values, NULL), STATUS_OK);
    return values;
}

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double dot(const float *w, const double *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)w[i] * x[i];
    return sum;
}

/* One direction of layer k: x [T,I] -> y[t * stride + 0..O). */
static void reference_direction(const struct lstm_case *lc, size_t k, bool reverse, size_t I,
                                const double *x, double *y, size_t stride, struct mistake mistake)
{
    size_t H = (size_t)lc->values[1], P = (size_t)lc->values[5], O = P ? P : H, T = lc->T;
    bool bias = lc->values[3];
    float *W = take("weight_ih", k, reverse, 4 * H, I), *U = take("weight_hh", k, reverse, 4 * H, O);
    float *bi = take("bias_ih", k, reverse, 4 * H, 0), *bh = take("bias_hh", k, reverse, 4 * H, 0);
    float *R = P ? take("weight_hr", k, reverse, P, H) : NULL;
    double *h = calloc(O, sizeof *h), *c = calloc(H, sizeof *c), *m = calloc(H, sizeof *m);
    double *gate = calloc(4 * H, sizeof *gate);
    bool use_bi = bias && !(mistake.forget && !strcmp(mistake.forget, "bias_ih"));
    bool use_bh = bias && !(mistake.forget && !strcmp(mistake.forget, "bias_hh"));
    size_t order[4] = {0, 1, 2, 3};
    order[mistake.swap_a] = (size_t)mistake.swap_b;
    order[mistake.swap_b] = (size_t)mistake.swap_a;
    for (size_t s = 0; s < T; s++) {
        size_t t = reverse ? T - 1 - s : s;
        for (size_t n = 0; n < 4 * H; n++)
            gate[n] = dot(W + n * I, x + t * I, I) + dot(U + n * O, h, O)
                      + (use_bi ? (double)bi[n] : 0) + (use_bh ? (double)bh[n] : 0);
        for (size_t j = 0; j < H; j++) {
            double i = sigmoid(gate[order[0] * H + j]), f = sigmoid(gate[order[1] * H + j]);
            double g = tanh(gate[order[2] * H + j]), o = sigmoid(gate[order[3] * H + j]);
            c[j] = f * c[j] + i * g;
            m[j] = o * tanh(c[j]);
        }
        for (size_t j = 0; j < O; j++) h[j] = P ? dot(R + j * H, m, H) : m[j];
        memcpy(y + t * stride, h, O * sizeof *y);
    }
    memory_free(W), memory_free(U), memory_free(bi), memory_free(bh), memory_free(R);
    free(h), free(c), free(m), free(gate);
}

/* x [T,I] -> y [T, outputs], allocated. */
static double *reference_lstm(const struct lstm_case *lc, const float *features,
                              struct mistake mistake)
{
    size_t I = (size_t)lc->values[0], T = lc->T, D = lc->values[4] ? 2 : 1;
    size_t O = (size_t)(lc->values[5] ? lc->values[5] : lc->values[1]);
    double *x = calloc(T * I, sizeof *x);
    for (size_t i = 0; i < T * I; i++) x[i] = (double)features[i];
    for (size_t k = 0; k < (size_t)lc->values[2]; k++, I = D * O) {
        double *y = calloc(T * D * O, sizeof *y);
        for (size_t d = 0; d < D; d++)
            reference_direction(lc, k, d == 1, I, x, y + d * O, D * O, mistake);
        free(x);
        x = y;
    }
    return x;
}

/* Running one sequence through a network -------------------------------------------------- */

static float *made_up_features(size_t n)
{
    float *features = memory_new(n, sizeof *features);
    unsigned state = 12345;
    for (size_t i = 0; i < n; i++) {
        state = state * 1664525u + 1013904223u;
        features[i] = (float)(state >> 8) / (float)(1 << 22) - 2.0f; /* in [-2, 2) */
    }
    return features;
}

static struct network *build(const struct layer_spec *specs, size_t n, enum precision precision)
{
    struct network *network = NULL;
    struct error err = {0};
    enum status status = network_new(specs, n, tiny_tensors(), precision, &network, &err);
    ck_assert_msg(status == STATUS_OK, "%s", err.message);
    return network;
}

/* All outputs of a sequence of T steps from the zero state; the caller frees. */
static float *run(const struct network *network, size_t T, const float *features,
                  const int32_t *tokens)
{
    struct workspace *workspace;
    float *state = memory_new(network_state_floats(network), sizeof *state);
    struct ride ride = {.n_steps = T, .features = features, .tokens = tokens, .state = state,
                        .want = network_has_pooling(network) ? WANT_LAST : WANT_ALL};
    ck_assert_int_eq(workspace_new(T, 1, &workspace), STATUS_OK);
    ck_assert_int_eq(workspace_fit(workspace, network), STATUS_OK);
    network_run(network, workspace, &ride, 1);
    size_t n = ride.n_outputs * network_output_size(network);
    float *outputs = memory_new(n, sizeof *outputs);
    memcpy(outputs, ride.output, n * sizeof *outputs);
    workspace_free(workspace);
    memory_free(state);
    return outputs;
}

static double largest_error(const float *a, const double *b, size_t n)
{
    double largest = 0;
    for (size_t i = 0; i < n; i++) {
        double error = fabs((double)a[i] - b[i]);
        if (!(error <= largest)) largest = error;
    }
    return largest;
}

/* LSTM ----------------------------------------------------------------------------------- */

static double lstm_error(const struct lstm_case *lc, struct mistake mistake)
{
    struct layer_spec spec = tiny_layer("lstm", "l", 6, lc->values);
    struct network *network = build(&spec, 1, PRECISION_FLOAT32);
    float *features = made_up_features(lc->T * (size_t)lc->values[0]);
    float *got = run(network, lc->T, features, NULL);
    double *expected = reference_lstm(lc, features, mistake);
    double error = largest_error(got, expected, lc->T * network_output_size(network));
    memory_free(features);
    memory_free(got);
    free(expected);
    network_free(network);
    return error;
}

START_TEST(test_lstm_matches_reference)
{
    const struct kernels *set;
    for (size_t i = 0; (set = kernels_available(i)); i++) {
        ck_assert_int_eq(kernels_select(set->name, NULL), STATUS_OK);
        double error = lstm_error(&lstm_cases[_i], no_mistake);
        ck_assert_msg(error <= 5e-6, "case %d, %s: error %.2e, expected at most 5e-6", _i,
                      set->name, error);
    }
}
END_TEST

START_TEST(test_lstm_swapped_gates_would_show)
{
    const struct lstm_case *lc = &lstm_cases[_i];
    for (int a = 0; a < 4; a++)
        for (int b = a + 1; b < 4; b++)
            ck_assert_double_gt(lstm_error(lc, (struct mistake){a, b, NULL}), 1e-3);
}
END_TEST

START_TEST(test_lstm_forgotten_bias_would_show)
{
    const struct lstm_case *lc = &lstm_cases[_i];
    if (!lc->values[3]) return;
    ck_assert_double_gt(lstm_error(lc, (struct mistake){0, 0, "bias_ih"}), 1e-3);
    ck_assert_double_gt(lstm_error(lc, (struct mistake){0, 0, "bias_hh"}), 1e-3);
}
END_TEST

/* The table of tokens -------------------------------------------------------------------- */

static void check_same(const float *a, const float *b, size_t n)
{
    ck_assert_int_eq(memcmp(a, b, n * sizeof *a), 0);
}

/* token layer -> lstm over tokens equals the same lstm over the token layer's rows, bit for bit. */
static void check_table(struct layer_spec token_layer, size_t V, size_t E, bool both)
{
    enum { T = 20, H = 17 };
    struct layer_spec specs[] = {
        token_layer, tiny_layer("dropout", "", 0, NULL),
        tiny_layer("lstm", "l", 6, (long[]){(long)E, H, 2, 1, both, 0}),
    };
    struct network *folded = build(specs, 3, PRECISION_FLOAT32);
    struct network *rows = build(specs, 1, PRECISION_FLOAT32);
    struct network *plain = build(specs + 2, 1, PRECISION_FLOAT32);
    int32_t tokens[T];
    for (size_t t = 0; t < T; t++) tokens[t] = (int32_t)(t * t * 7 % V);
    tokens[3] = (int32_t)V - 1;
    ck_assert_str_eq(network_layer(folded, 0)->type->name, "lstm");
    ck_assert_ptr_null(network_layer(folded, 1));
    ck_assert_uint_eq(network_input_size(folded), 0);
    ck_assert_uint_eq(network_vocabulary_size(folded), V);
    float *x = run(rows, T, NULL, tokens);
    float *a = run(folded, T, NULL, tokens), *b = run(plain, T, x, NULL);
    check_same(a, b, T * network_output_size(plain));
    memory_free(x), memory_free(a), memory_free(b);
    network_free(folded), network_free(rows), network_free(plain);
}

START_TEST(test_table_of_embedding)
{
    check_table(tiny_layer("embedding", "e", 2, (long[]){150, 12}), 150, 12, false);
    check_table(tiny_layer("embedding", "e", 2, (long[]){5, 3}), 5, 3, true);
}
END_TEST

START_TEST(test_table_of_one_hot)
{
    check_table(tiny_layer("one_hot", "", 1, (long[]){65}), 65, 65, false);
    check_table(tiny_layer("one_hot", "", 1, (long[]){1}), 1, 1, true);
}
END_TEST

START_TEST(test_table_has_a_limit)
{
    struct layer_spec specs[] = {
        tiny_layer("embedding", "e", 2, (long[]){70000, 2}),
        tiny_layer("lstm", "l", 2, (long[]){2, 16}),
    };
    struct network *network = build(specs, 2, PRECISION_FLOAT32);
    ck_assert_str_eq(network_layer(network, 0)->type->name, "embedding");
    ck_assert_uint_eq(network_vocabulary_size(network), 70000);
    ck_assert_uint_lt(network_bytes(network), 2 << 20);
    int32_t tokens[] = {69999, 0, 3};
    memory_free(run(network, 3, NULL, tokens));
    network_free(network);
}
END_TEST

/* The small ones ------------------------------------------------------------------------- */

static double apply(const char *name, double x)
{
    if (!strcmp(name, "relu")) return x > 0 ? x : 0;
    if (!strcmp(name, "hard_sigmoid")) return fmin(fmax(x / 6 + 0.5, 0), 1);
    if (!strcmp(name, "hard_sigmoid_keras2")) return fmin(fmax(0.2 * x + 0.5, 0), 1);
    if (!strcmp(name, "silu")) return x * sigmoid(x);
    if (!strcmp(name, "gelu")) return x * (1 + erf(x / sqrt(2))) / 2;
    if (!strcmp(name, "gelu_tanh"))
        return x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x))) / 2;
    if (!strcmp(name, "elu")) return x > 0 ? x : exp(x) - 1;
    if (!strcmp(name, "leaky_relu")) return x > 0 ? x : 0.01 * x;
    if (!strcmp(name, "softplus")) return log(1 + exp(x));
    return strcmp(name, "tanh") ? sigmoid(x) : tanh(x);
}

START_TEST(test_linear_and_activations)
{
    enum { T = 3, K = 5, N = 19 };
    const char *names[] = {"relu", "tanh", "sigmoid", "hard_sigmoid", "hard_sigmoid_keras2",
                           "silu", "gelu", "gelu_tanh", "elu", "leaky_relu", "softplus"};
    struct layer_spec specs[2] = {tiny_layer("linear", "f", 2, (long[]){K, N})};
    float *features = made_up_features(T * K), *W, *b;
    double x[T * K], y[T * N];
    for (size_t i = 0; i < T * K; i++) x[i] = (double)features[i];
    ck_assert_int_eq(tiny_tensors()->take(tiny_tensors(), "f.weight", 2, (size_t[]){N, K}, &W, NULL), 0);
    ck_assert_int_eq(tiny_tensors()->take(tiny_tensors(), "f.bias", 1, (size_t[]){N}, &b, NULL), 0);
    for (int has_bias = 0; has_bias < 2; has_bias++)
        for (size_t a = 0; a < sizeof names / sizeof *names; a++) {
            specs[0].values[2] = has_bias;
            specs[1] = tiny_layer(names[a], "", 0, NULL);
            struct network *network = build(specs, 2, PRECISION_FLOAT32);
            float *got = run(network, T, features, NULL);
            for (size_t i = 0; i < T * N; i++)
                y[i] = apply(names[a], dot(W + i % N * K, x + i / N * K, K)
                                           + (has_bias ? (double)b[i % N] : 0));
            ck_assert_double_le(largest_error(got, y, T * N), 1e-6);
            memory_free(got);
            network_free(network);
        }
    memory_free(features), memory_free(W), memory_free(b);
}
END_TEST

START_TEST(test_pooling)
{
    enum { T = 6, N = 3 };
    struct layer_spec specs[] = {tiny_layer("linear", "f", 2, (long[]){2, N}),
                                 tiny_layer("pooling", "", 1, (long[]){0})};
    struct network *steps = build(specs, 1, PRECISION_FLOAT32);
    float *features = made_up_features(T * 2), *y = run(steps, T, features, NULL);
    for (long mode = 0; mode < 3; mode++) {
        specs[1].values[0] = mode;
        struct network *network = build(specs, 2, PRECISION_FLOAT32);
        float *got = run(network, T, features, NULL);
        double expected[N];
        for (size_t n = 0; n < N; n++) {
            double sum = 0, max = -1e9;
            for (size_t t = 0; t < T; t++) {
                sum += (double)y[t * N + n];
                max = fmax(max, (double)y[t * N + n]);
            }
            expected[n] = mode == 0 ? (double)y[(T - 1) * N + n] : mode == 1 ? sum / T : max;
        }
        ck_assert_double_le(largest_error(got, expected, N), mode == 1 ? 1e-6 : 0);
        memory_free(got);
        network_free(network);
    }
    memory_free(features), memory_free(y);
    network_free(steps);
}
END_TEST

/* `last` takes the reverse half of a bidirectional LSTM from step 0, also through activations. */
START_TEST(test_pooling_last_of_both_directions)
{
    enum { T = 5, H = 4 };
    struct layer_spec specs[] = {tiny_layer("lstm", "l", 6, (long[]){3, H, 1, 1, 1, 0}),
                                 tiny_layer("relu", "", 0, NULL),
                                 tiny_layer("pooling", "", 1, (long[]){0})};
    struct network *steps = build(specs, 2, PRECISION_FLOAT32);
    struct network *pooled = build(specs, 3, PRECISION_FLOAT32);
    float *features = made_up_features(T * 3);
    float *y = run(steps, T, features, NULL), *last = run(pooled, T, features, NULL);
    check_same(last, y + (T - 1) * 2 * H, H);
    check_same(last + H, y + H, H);
    memory_free(features), memory_free(y), memory_free(last);
    network_free(steps), network_free(pooled);
}
END_TEST

START_TEST(test_dropout_is_left_out)
{
    struct layer_spec specs[] = {
        tiny_layer("dropout", "", 0, NULL), tiny_layer("lstm", "l", 2, (long[]){3, 4}),
        tiny_layer("dropout", "", 0, NULL), tiny_layer("linear", "f", 2, (long[]){4, 2}),
        tiny_layer("dropout", "", 0, NULL),
    };
    struct network *network = build(specs, 5, PRECISION_FLOAT32);
    ck_assert_str_eq(network_layer(network, 0)->type->name, "lstm");
    ck_assert_str_eq(network_layer(network, 1)->type->name, "linear");
    ck_assert_ptr_null(network_layer(network, 2));
    network_free(network);
}
END_TEST

/* Which matrices become int8 is seen in the weights' bytes: the bounded ones only. In bfloat16 all have two
 * bytes. */
START_TEST(test_int8_only_where_inputs_are_bounded)
{
    struct layer_spec free_lstm[] = {tiny_layer("lstm", "l", 2, (long[]){64, 64})};
    struct layer_spec bounded[] = {tiny_layer("linear", "f", 2, (long[]){64, 64}),
                                   tiny_layer("tanh", "", 0, NULL), free_lstm[0]};
    struct layer_spec projected[] = {tiny_layer("lstm", "l", 6, (long[]){64, 128, 1, 0, 0, 64})};
    const size_t w = 64 * 64;
    struct network *a = build(free_lstm, 1, PRECISION_INT8);
    struct network *b = build(bounded, 3, PRECISION_INT8);
    struct network *c = build(projected, 1, PRECISION_INT8);
    ck_assert_uint_ge(network_bytes(a), 2 * 4 * w + 4 * w);
    ck_assert_uint_lt(network_bytes(a), 2 * 4 * w + 4 * w + 8192);
    ck_assert_uint_lt(network_bytes(b), 2 * w + 4 * w + 4 * w + 8192);
    ck_assert_uint_ge(network_bytes(c), 2 * 8 * w + 2 * 8 * w + 2 * w);
    ck_assert_uint_lt(network_bytes(c), 2 * 8 * w + 2 * 8 * w + 2 * w + 8192);
    struct network *d = build(bounded, 3, PRECISION_BFLOAT16);
    ck_assert_uint_lt(network_bytes(d), 2 * w + 2 * 4 * w + 2 * 4 * w + 8192);
    network_free(a), network_free(b), network_free(c), network_free(d);
}
END_TEST

START_TEST(test_types)
{
    size_t n = 0;
    for (const struct layer_type *const *type = layer_types(); *type; type++, n++)
        ck_assert_ptr_eq(layer_type_find((*type)->name), *type);
    ck_assert_uint_ge(n, 9);
    ck_assert_ptr_null(layer_type_find("lstn"));
}
END_TEST

Suite *layers_suite(void);

Suite *layers_suite(void)
{
    Suite *suite = suite_create("layers");
    TCase *lstm = tcase_create("lstm"), *small = tcase_create("small");
    tcase_add_checked_fixture(lstm, active_set_remember, active_set_restore);
    tcase_add_loop_test(lstm, test_lstm_matches_reference, 0, N_LSTM_CASES);
    tcase_add_loop_test(lstm, test_lstm_swapped_gates_would_show, 1, N_LSTM_CASES);
    tcase_add_loop_test(lstm, test_lstm_forgotten_bias_would_show, 0, N_LSTM_CASES);
    tcase_add_test(lstm, test_table_of_embedding);
    tcase_add_test(lstm, test_table_of_one_hot);
    tcase_add_test(lstm, test_table_has_a_limit);
    tcase_add_test(lstm, test_int8_only_where_inputs_are_bounded);
    tcase_add_test(small, test_linear_and_activations);
    tcase_add_test(small, test_pooling);
    tcase_add_test(small, test_pooling_last_of_both_directions);
    tcase_add_test(small, test_dropout_is_left_out);
    tcase_add_test(small, test_types);
    suite_add_tcase(suite, lstm);
    suite_add_tcase(suite, small);
    return suite;
}
