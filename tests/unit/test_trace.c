/* The slow path: weights unpacked as they serve, gradients of every precision, and its ends. The equations
 * and PyTorch's gradients are test_golden.c's. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/recurrent/trace.h"
#include "tests/support/tiny.h"

Suite *trace_suite(void);

enum { STEPS = 9, VOCABULARY = 7, HIDDEN = 19, LABELS = 3 };

static const int32_t tokens[STEPS] = {0, 3, 6, 6, 1, 2, 5, 4, 0};

/* Each precision gives back what it has rounded: within half of its step, and the bias as it was. */
START_TEST(test_rows)
{
    enum { N = 70, K = 9 };
    static const float off[N_PRECISIONS] = {[PRECISION_FLOAT16] = 0x1p-11f, [PRECISION_BFLOAT16] = 0x1p-8f,
                                            [PRECISION_INT8] = 0.5f / 127};
    float W[N * K], bias[N], row[K];
    const struct kernels *set;
    for (size_t i = 0; i < N * K; i++) W[i] = sinf((float)i) * (i % 5 ? 1 : 1e-5f);
    for (size_t n = 0; n < N; n++) bias[n] = (float)n;
    for (size_t s = 0; (set = kernels_available(s)); s++)
        for (int p = 0; p < N_PRECISIONS; p++) {
            struct matrix *matrix;
            ck_assert_int_eq(kernels_select(set->name, NULL), STATUS_OK);
            ck_assert_int_eq(matrix_new(W, bias, N, K, (enum precision)p, &matrix), STATUS_OK);
            for (size_t n = 0; n < N; n++) {
                ck_assert_float_eq(matrix_row(matrix, n, row), bias[n]);
                for (size_t k = 0; k < K; k++)
                    ck_assert_msg(fabsf(row[k] - W[n * K + k]) <= off[p] * 1.001f, "%s, %s: W[%zu,%zu]",
                                  set->name,
                                  precision_name((enum precision)p), n, k);
            }
            matrix_free(matrix);
        }
}
END_TEST

static struct network *build(enum precision precision)
{
    long v = VOCABULARY, h = HIDDEN;
    struct layer_spec specs[] = {
        tiny_layer("embedding", "words", 2, (long[]){v, 6}),
        tiny_layer("lstm", "lstm", 5, (long[]){6, h, 2, 1, 1}),
        tiny_layer("pooling", "", 1, (long[]){1}),
        tiny_layer("linear", "head", 2, (long[]){2 * h, LABELS}),
    };
    struct network *network;
    ck_assert_int_eq(network_new(specs, 4, tiny_tensors(), precision, &network, NULL), STATUS_OK);
    return network;
}

static void gradient(const struct network *network, float *d_input)
{
    const struct trace_input input = {.T = STEPS, .tokens = tokens};
    const float d_output[LABELS] = {0, 1, 0};
    struct trace *trace;
    ck_assert_int_eq(trace_new(network, &input, &trace), STATUS_OK);
    ck_assert_int_eq(trace_backward(trace, 0, d_output, d_input), STATUS_OK);
    trace_free(trace);
}

/* Rounded weights give gradients that are near, and not the same. */
START_TEST(test_precisions)
{
    float exact[STEPS], rounded[STEPS], largest = 0;
    ck_assert_int_eq(kernels_select("auto", NULL), STATUS_OK);
    for (int p = 0; p < N_PRECISIONS; p++) {
        struct network *network = build((enum precision)p);
        gradient(network, p ? rounded : exact);
        network_free(network);
        for (size_t t = 0; !p && t < STEPS; t++) largest = fmaxf(largest, fabsf(exact[t]));
        if (!p) continue;
        ck_assert_int_ne(memcmp(exact, rounded, sizeof exact), 0);
        for (size_t t = 0; t < STEPS; t++) ck_assert_float_le(fabsf(exact[t] - rounded[t]), 0.05f * largest);
    }
}
END_TEST

START_TEST(test_sizes)
{
    struct network *network = build(PRECISION_FLOAT32);
    struct trace_input input = {.T = STEPS, .tokens = tokens};
    struct trace *trace;
    struct trace_cell cell;
    ck_assert_uint_eq(trace_layers(network), 2);
    ck_assert_uint_eq(trace_units(network), 4 * HIDDEN);
    ck_assert_uint_ge(trace_bytes(network, STEPS), STEPS * 4 * HIDDEN * 5 * sizeof(float));
    ck_assert_uint_eq(trace_bytes(network, SIZE_MAX), UINT64_MAX);
    ck_assert_int_eq(trace_new(network, &input, &trace), STATUS_OK);
    ck_assert(trace_cell(trace, 1, 1, &cell));
    ck_assert(cell.is_reverse);
    ck_assert_uint_eq(cell.H, HIDDEN);
    ck_assert(!trace_cell(trace, 2, 0, &cell));
    ck_assert(!trace_cell(trace, 0, 2, &cell));
    trace_free(trace);
    network_free(network);
}
END_TEST

/* Every allocation of a trace of `network`, which reads tokens, and of its gradient fails once. */
static void fail_everywhere(const struct network *network)
{
    const struct trace_input input = {.T = STEPS, .tokens = tokens};
    const float d_output[HIDDEN] = {1};
    float d_input[STEPS];
    enum status status = STATUS_NO_MEMORY;
    size_t nth = 0;
    while (status == STATUS_NO_MEMORY) {
        struct trace *trace = NULL;
        memory_fail_at(++nth);
        status = trace_new(network, &input, &trace);
        if (status == STATUS_OK) status = trace_backward(trace, 0, d_output, d_input);
        memory_fail_at(0);
        trace_free(trace);
    }
    ck_assert_int_eq(status, STATUS_OK);
    ck_assert_uint_gt(nth, 20);
}

START_TEST(test_no_memory)
{
    struct network *network = build(PRECISION_INT8);
    fail_everywhere(network);
    network_free(network);
    struct layer_spec graph[] = {
        tiny_layer("embedding", "words", 2, (long[]){VOCABULARY, 6}),
        tiny_layer("conv1d", "conv", 7, (long[]){6, 6, 3, 0, 1, 1, 1}),
        tiny_layer("layer_norm", "norm", 4, (long[]){6, 0, 1, 1}),
        tiny_layer("add", "", 0, NULL),
        tiny_layer("slstm", "slstm", 2, (long[]){6, 2}),
        tiny_layer("mlstm", "mlstm", 2, (long[]){6, 2}),
        tiny_layer("gated_feed_forward", "feed", 2, (long[]){6, 7}),
        tiny_layer("lstm", "back", 10, (long[]){6, 5, 1, 1, 0, 0, 0, 0, 0, 1}),
        tiny_layer("attention_pooling", "pool", 4, (long[]){5, 3, 1, 1}),
    };
    graph[3].n_sources = 2;
    graph[3].sources[1] = 2;
    graph[5].n_sources = 3;
    for (size_t k = 0; k < 3; k++) graph[5].sources[k] = 4;
    ck_assert_int_eq(network_new(graph, 9, tiny_tensors(), PRECISION_INT8, &network, NULL), STATUS_OK);
    fail_everywhere(network);
    network_free(network);
    /* reset_after and without */
    for (long after = 0; after < 2; after++) {
        struct layer_spec specs[] = {tiny_layer("embedding", "words", 2, (long[]){VOCABULARY, 6}),
                                     tiny_layer("gru", "gru", 6, (long[]){6, HIDDEN, 1, 1, 0, after})};
        ck_assert_int_eq(network_new(specs, 2, tiny_tensors(), PRECISION_FLOAT32, &network, NULL), STATUS_OK);
        fail_everywhere(network);
        network_free(network);
    }
}
END_TEST

/* Each type of layer tells what its units have. */
START_TEST(test_types)
{
    static const struct {
        const char *type, *gates;
        size_t n;
        long values[10];
        char keeper;
    } known[] = {{"lstm", "ifgo", 2, {3, 5}, 'f'}, {"gru", "rzn", 2, {3, 5}, 'z'},
                 {"gru", "rzn", 6, {3, 5, 1, 1, 0, 0}, 'z'}, {"rnn", "", 2, {3, 5}, 0},
                 {"rnn", "", 6, {3, 5, 1, 1, 0, 1}, 0}, {"gru", "rzn", 7, {3, 5, 1, 1, 0, 1, 1}, 'z'},
                 {"lstm", "ifgo", 10, {3, 5, 1, 1, 0, 0, 1, 1, 1, 0}, 'f'}};
    const float features[6] = {1, 2, 3, 4, 5, 6};
    const struct trace_input input = {.T = 2, .features = features};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        struct layer_spec specs[] = {tiny_layer(known[i].type, "cell", known[i].n, known[i].values)};
        struct network *network;
        struct trace *trace;
        struct trace_cell cell, form;
        ck_assert_int_eq(network_new(specs, 1, tiny_tensors(), PRECISION_FLOAT32, &network, NULL), STATUS_OK);
        ck_assert_ptr_null(trace_unknown(network));
        ck_assert(trace_cell_of(network, 0, 0, &form));
        ck_assert(!trace_cell_of(network, 1, 0, &cell));
        ck_assert_uint_eq(form.H, 5);
        ck_assert_uint_eq(form.n_directions, 1);
        ck_assert_str_eq(form.has->names, known[i].gates);
        ck_assert_int_eq(form.has->keeper, known[i].keeper);
        ck_assert_int_eq(trace_new(network, &input, &trace), STATUS_OK);
        ck_assert(trace_cell(trace, 0, 0, &cell));
        ck_assert(cell.has == form.has);
        ck_assert_int_eq(cell.c != NULL, !strcmp(known[i].type, "lstm"));
        trace_free(trace);
        network_free(network);
    }
}
END_TEST

/* What an mlstm and an slstm show: the heads' forget gate, and a cell that is a weighted mean. */
START_TEST(test_xlstm)
{
    enum { T = 4, D = 6 };
    const float features[T * 3] = {1, -2, 3, 0.5f, 1, 0, -1, 2, 1, 0, 0, 1};
    const struct trace_input input = {.T = T, .features = features};
    const float d_output[D] = {0, 0, 1};
    for (int is_mlstm = 0; is_mlstm < 2; is_mlstm++) {
        struct layer_spec specs[] = {tiny_layer("linear", "in", 2, (long[]){3, D}),
                                     tiny_layer(is_mlstm ? "mlstm" : "slstm", "cell", 2, (long[]){D, 2})};
        float d_input[T * 3];
        struct network *network;
        struct trace *trace;
        struct trace_cell cell;
        if (is_mlstm) specs[1].n_sources = 3;
        ck_assert_int_eq(network_new(specs, 2, tiny_tensors(), PRECISION_FLOAT32, &network, NULL), STATUS_OK);
        ck_assert_int_eq(trace_new(network, &input, &trace), STATUS_OK);
        ck_assert_uint_eq(trace_units(network), D);
        ck_assert(trace_cell(trace, 0, 0, &cell));
        ck_assert(!trace_cell(trace, 0, 1, &cell));
        ck_assert_str_eq(cell.has->names, is_mlstm ? "if" : "ifzo");
        for (size_t t = 0; t < T; t++)
            for (size_t u = 0; u < D; u++) {
                const float *gates = cell.gates + (ptrdiff_t)t * cell.gates_stride;
                ck_assert(gates[u] >= 0 && gates[u] <= 1 && gates[D + u] >= 0 && gates[D + u] < 1);
                if (is_mlstm) ck_assert_float_eq(gates[u], gates[u / 3 * 3]); /* one of each head */
                else ck_assert_float_le(fabsf(gates[u] + gates[D + u] - 1), 1e-6f);
            }
        ck_assert_int_eq(trace_backward(trace, 1, d_output, d_input), STATUS_OK);
        ck_assert_float_ne(d_input[0], 0);
        ck_assert_float_eq(d_input[2 * 3], 0); /* what comes later */
        trace_free(trace);
        network_free(network);
    }
}
END_TEST

/* A network that feeds a layer's output back. What remembers stands in the loop, or before it. */
static struct network *looped(const char *type, bool is_before)
{
    enum { D = 6 };
    struct layer_spec cell = tiny_layer(type, type, strcmp(type, "conv1d") ? 2 : 4, (long[]){D, D, 3, 0});
    struct layer_spec tanh = tiny_layer("tanh", "", 0, NULL);
    struct layer_spec specs[] = {
        tiny_layer("embedding", "words", 2, (long[]){VOCABULARY, D}),
        is_before ? cell : tanh,
        tiny_layer("previous", "", 1, (long[]){D}),
        tiny_layer("add", "", 0, NULL),
        is_before ? tanh : cell,
        tiny_layer("layer_norm", "norm", 4, (long[]){D, 0, 1, 1}),
        tiny_layer("lstm", "lstm", 3, (long[]){D, D, 2}),
        tiny_layer("linear", "head", 2, (long[]){D, LABELS}),
    };
    struct network *network;
    specs[2].n_sources = 1;
    specs[2].sources[0] = 6;
    specs[3].n_sources = 2;
    specs[3].sources[0] = 1;
    specs[3].sources[1] = 2;
    ck_assert_int_eq(network_new(specs, 8, tiny_tensors(), PRECISION_FLOAT32, &network, NULL), STATUS_OK);
    return network;
}

/* What the slow path does not know is refused, never explained wrongly: a layer that has to go step by step
 * and cannot. */
START_TEST(test_unknown)
{
    static const char *const types[] = {"lstm", "gru", "rnn", "slstm", "conv1d"};
    const struct trace_input input = {.T = STEPS, .tokens = tokens};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        for (int is_before = 0; is_before < 2; is_before++) {
            struct network *network = looped(types[i], is_before);
            struct trace *trace = NULL;
            bool is_known = is_before || i < 3;
            ck_assert_msg(!trace_unknown(network) == is_known, "%s", types[i]);
            ck_assert_msg(!trace_fixed(network) == (i < 3), "%s", types[i]);
            if (!is_known) ck_assert_str_eq(trace_unknown(network)->type->name, types[i]);
            ck_assert_int_eq(trace_new(network, &input, &trace), is_known ? STATUS_OK : STATUS_UNSUPPORTED);
            trace_free(trace);
            network_free(network);
        }
}
END_TEST

/* A trace and the gradient of the sum of its outputs, plus that by its last state. */
static void trace_part(const struct network *network, const struct trace_input *input, const float *d_end,
                       float *d_input, float *d_begin, float *state)
{
    float d_outputs[STEPS * LABELS];
    const struct trace_way way = {.d_outputs = d_outputs, .d_end = d_end, .d_input = d_input,
                                  .d_begin = d_begin};
    struct trace *trace;
    for (size_t i = 0; i < STEPS * LABELS; i++) d_outputs[i] = 1;
    ck_assert_int_eq(trace_new(network, input, &trace), STATUS_OK);
    trace_state(trace, state);
    ck_assert_int_eq(trace_backward_all(trace, &way), STATUS_OK);
    trace_free(trace);
}

/* Cut a sequence in two, where the second part begins with the first one's state: the gradient by that state
 * is what the first part lacks. */
static void check_cut(const struct network *network)
{
    enum { CUT = 4 };
    float whole[STEPS], parts[STEPS], largest = 0;
    size_t n = network_state_floats(network);
    float *middle = memory_new(n, sizeof *middle), *end = memory_new(n, sizeof *end);
    float *end_whole = memory_new(n, sizeof *end), *d_middle = memory_new(n, sizeof *d_middle);
    struct trace_input input = {.T = STEPS, .tokens = tokens};
    trace_part(network, &input, NULL, whole, NULL, end_whole);
    input.T = CUT;
    trace_part(network, &input, NULL, parts, NULL, middle);
    input = (struct trace_input){.T = STEPS - CUT, .tokens = tokens + CUT, .state = middle};
    trace_part(network, &input, NULL, parts + CUT, d_middle, end);
    input = (struct trace_input){.T = CUT, .tokens = tokens};
    trace_part(network, &input, d_middle, parts, NULL, middle);
    for (size_t i = 0; i < n; i++) ck_assert_float_le(fabsf(end[i] - end_whole[i]), 1e-6f);
    for (size_t t = 0; t < STEPS; t++) largest = fmaxf(largest, fabsf(whole[t]));
    for (size_t t = 0; t < STEPS; t++) ck_assert_float_le(fabsf(parts[t] - whole[t]), 1e-5f * largest);
    memory_free(middle);
    memory_free(end);
    memory_free(end_whole);
    memory_free(d_middle);
}

START_TEST(test_states)
{
    static const struct {
        const char *type;
        size_t n;
        long values[11];
    } known[] = {{"lstm", 3, {6, 7, 2}}, {"lstm", 6, {6, 7, 2, 1, 0, 3}},
                 {"lstm", 11, {6, 7, 2, 1, 0, 0, 0, 0, 1, 0, 1}}, {"gru", 3, {6, 7, 2}},
                 {"gru", 6, {6, 7, 2, 1, 0, 0}}, {"rnn", 3, {6, 7, 2}}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        long h = known[i].n == 6 && i == 1 ? 3 : 7;
        struct layer_spec specs[] = {tiny_layer("embedding", "words", 2, (long[]){VOCABULARY, 6}),
                                     tiny_layer(known[i].type, "cell", known[i].n, known[i].values),
                                     tiny_layer("linear", "head", 2, (long[]){h, LABELS})};
        struct network *network;
        ck_assert_int_eq(network_new(specs, 3, tiny_tensors(), PRECISION_FLOAT32, &network, NULL), STATUS_OK);
        ck_assert_ptr_null(trace_fixed(network));
        check_cut(network);
        network_free(network);
    }
}
END_TEST

START_TEST(test_loop_without_memory)
{
    struct network *network = looped("gru", false);
    fail_everywhere(network);
    network_free(network);
}
END_TEST

/* The gradient of a network that recalls is what a small change of its input brings. */
START_TEST(test_recalled)
{
    enum { T = 5, D = 4 };
    struct layer_spec specs[] = {tiny_layer("previous", "", 1, (long[]){D}),
                                 tiny_layer("linear", "in", 2, (long[]){3, D}),
                                 tiny_layer("concat", "", 0, NULL),
                                 tiny_layer("gru", "gru", 2, (long[]){2 * D, D}),
                                 tiny_layer("linear", "out", 2, (long[]){D, D})};
    float features[T * 3], d_input[T * 3];
    const float d_output[D] = {0, 1};
    struct trace_input input = {.T = T, .features = features};
    struct network *network;
    struct trace *trace;
    specs[0].n_sources = specs[1].n_sources = 1;
    specs[0].sources[0] = 4;
    specs[1].sources[0] = SOURCE_INPUT;
    specs[2].n_sources = 2;
    specs[2].sources[1] = 1;
    ck_assert_int_eq(network_new(specs, 5, tiny_tensors(), PRECISION_FLOAT32, &network, NULL), STATUS_OK);
    for (size_t i = 0; i < T * 3; i++) features[i] = sinf((float)i);
    ck_assert_int_eq(trace_new(network, &input, &trace), STATUS_OK);
    ck_assert_int_eq(trace_backward(trace, T - 2, d_output, d_input), STATUS_OK);
    trace_free(trace);
    for (size_t i = 0; i < T * 3; i++) {
        float change = 0;
        for (int sign = -1; sign <= 1; sign += 2) {
            size_t rows;
            features[i] = sinf((float)i) + (float)sign * 0.01f;
            ck_assert_int_eq(trace_new(network, &input, &trace), STATUS_OK);
            change += (float)sign * trace_output(trace, &rows)[(T - 2) * D + 1] / 0.02f;
            trace_free(trace);
        }
        features[i] = sinf((float)i);
        ck_assert_float_le(fabsf(change - d_input[i]), 1e-4f);
        ck_assert((d_input[i] != 0) == (i < (T - 1) * 3));
    }
    network_free(network);
}
END_TEST

static bool count_down(void *context)
{
    size_t *left = context;
    return *left == 0 || --*left == 0;
}

/* The caller may give up at any step, forward and back. */
static void give_up_everywhere(const struct network *network)
{
    const float d_output[LABELS] = {1};
    float d_input[STEPS];
    size_t budget = 0, left;
    enum status status = STATUS_CANCELLED;
    while (status == STATUS_CANCELLED) {
        struct trace_input input = {.T = STEPS, .tokens = tokens, .stop = count_down, .context = &left};
        struct trace *trace = NULL;
        left = ++budget;
        status = trace_new(network, &input, &trace);
        if (status == STATUS_OK) status = trace_backward(trace, 0, d_output, d_input);
        trace_free(trace);
    }
    ck_assert_int_eq(status, STATUS_OK);
    ck_assert_uint_gt(budget, 2 * 4 * STEPS);
}

START_TEST(test_stop)
{
    struct network *network = build(PRECISION_FLOAT32);
    give_up_everywhere(network);
    network_free(network);
    network = looped("gru", false);
    give_up_everywhere(network);
    network_free(network);
}
END_TEST

Suite *trace_suite(void)
{
    Suite *suite = suite_create("trace");
    TCase *all = tcase_create("trace");
    tcase_set_timeout(all, 60);
    tcase_add_test(all, test_rows);
    tcase_add_test(all, test_precisions);
    tcase_add_test(all, test_sizes);
    tcase_add_test(all, test_no_memory);
    tcase_add_test(all, test_types);
    tcase_add_test(all, test_xlstm);
    tcase_add_test(all, test_unknown);
    tcase_add_test(all, test_states);
    tcase_add_test(all, test_recalled);
    tcase_add_test(all, test_loop_without_memory);
    tcase_add_test(all, test_stop);
    suite_add_tcase(suite, all);
    return suite;
}
