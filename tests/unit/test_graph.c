/* Networks that are not a chain: what may read what, that company and cuts change nothing, memories. The
 * numbers are PyTorch's, in tests/golden. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/recurrent/trace.h"
#include "tests/support/tiny.h"

Suite *graph_suite(void);

enum { V = 12, E = 5, H = 9, M = 7, MAX_SPECS = 12, T = 11 };

/* A layer, its values, and the places of what it reads; "" ends a network. */
struct row {
    const char *type;
    long values[7];
    size_t n, n_sources;
    int sources[3];
};

/* 2 is additive, 1 general. Input feeding: layer 1 gives what layer 7 gave in the step before. */
static const struct row decoder[] = {
    {"embedding", {V, E}, 2, 1, {-1}}, {"previous", {H}, 1, 1, {7}}, {"concat", {0}, 0, 2, {0, 1}},
    {"lstm", {E + H, H}, 2, 0, {0}}, {"attention", {2, H, M, 6}, 4, 0, {0}}, {"concat", {0}, 0, 2, {4, 3}},
    {"linear", {M + H, H}, 2, 0, {0}}, {"tanh", {0}, 0, 0, {0}}, {"linear", {H, V}, 2, 0, {0}},
    {.type = NULL}};
static const struct row residual[] = {
    {"embedding", {V, H}, 2, 0, {0}}, {"lstm", {H, H}, 2, 0, {0}}, {"add", {0}, 0, 2, {0, 1}},
    {"dropout", {0}, 0, 0, {0}}, {"lstm", {H, H}, 2, 0, {0}}, {"add", {0}, 0, 3, {4, 2, 0}},
    {"linear", {H, V}, 2, 0, {0}}, {.type = NULL}};
static const struct row reader[] = {
    {"embedding", {V, E}, 2, 0, {0}}, {"lstm", {E, H}, 2, 0, {0}}, {"attention", {1, H, M}, 3, 0, {0}},
    {"concat", {0}, 0, 2, {2, 1}}, {"linear", {M + H, V}, 2, 0, {0}}, {.type = NULL}};

static const struct row xlstm[] = {
    {"embedding", {V, 8}, 2, 0, {0}}, {"linear", {8, 8}, 2, 1, {0}}, {"linear", {8, 8}, 2, 1, {0}},
    {"mlstm", {8, 2}, 2, 3, {1, 2, 0}}, {"group_norm", {8, 0, 1, 0, 2}, 5, 0, {0}},
    {"add", {0}, 0, 2, {0, 4}},
    {"conv1d", {8, 8, 4, 0, 1, 1, 8}, 7, 0, {0}}, {"silu", {0}, 0, 0, {0}}, {"slstm", {8, 4}, 2, 2, {7, 5}},
    {"linear", {8, V}, 2, 0, {0}}, {.type = NULL}};

static const struct row *const networks[] = {decoder, residual, reader, xlstm};
enum { N_NETWORKS = sizeof networks / sizeof *networks };

static size_t specs_of(const struct row *rows, struct layer_spec specs[MAX_SPECS])
{
    size_t n = 0;
    for (char prefix[24]; rows[n].type; n++) {
        snprintf(prefix, sizeof prefix, "l%zu", n);
        specs[n] = tiny_layer(rows[n].type, prefix, rows[n].n, rows[n].values);
        specs[n].n_sources = rows[n].n_sources;
        memcpy(specs[n].sources, rows[n].sources, sizeof rows[n].sources);
    }
    return n;
}

static enum status build(const struct row *rows, struct network **out, struct error *err)
{
    struct layer_spec specs[MAX_SPECS];
    return network_new(specs, specs_of(rows, specs), tiny_tensors(), PRECISION_FLOAT32, out, err);
}

static struct network *built(const struct row *rows)
{
    struct network *network;
    struct error err = {.message = ""};
    ck_assert_msg(build(rows, &network, &err) == STATUS_OK, "%s", err.message);
    return network;
}

static struct workspace *workspace_for(const struct network *network, size_t rows, size_t n)
{
    struct workspace *workspace;
    ck_assert_int_eq(workspace_new(rows, n, &workspace), STATUS_OK);
    ck_assert_int_eq(workspace_fit(workspace, network), STATUS_OK);
    return workspace;
}

/* ---- sequences ----------------------------------------------------------------------------------- */

struct rider {
    int32_t tokens[T];
    size_t n, done;
    float outputs[T * V], *state, *rows;
    struct memory memory;
};

static struct rider *rider_new(const struct network *network, size_t seed)
{
    struct rider *r = memory_new(1, sizeof *r);
    size_t S = 1 + seed * 29 % 70;
    r->n = 1 + seed * 5 % T;
    r->state = memory_new(network_state_floats(network), sizeof(float));
    r->rows = memory_new(S * M, sizeof(float));
    for (size_t i = 0; i < T; i++) r->tokens[i] = (int32_t)((seed + i * i) % V);
    for (size_t i = 0; i < S * M; i++) r->rows[i] = (float)((seed * 31 + i * 17) % 97) / 48.5f - 1;
    r->memory = (struct memory){.rows = r->rows, .S = S,
                                .derived = memory_new(S * network_memory_floats(network), sizeof(float))};
    return r;
}

static void rider_free(struct rider *r)
{
    memory_free(r->memory.derived);
    memory_free(r->rows);
    memory_free(r->state);
    memory_free(r);
}

/* One turn of up to `most` steps of each rider that has some left; false: none has. */
static bool turn(const struct network *network, struct workspace *workspace, struct rider **riders, size_t n,
                 size_t most)
{
    struct ride rides[16];
    size_t who[16], k = 0;
    for (size_t i = 0; i < n; i++) {
        struct rider *r = riders[i];
        size_t left = r->n - r->done;
        if (!left) continue;
        rides[k] = (struct ride){.n_steps = left < most ? left : most, .tokens = r->tokens + r->done,
                                 .state = r->state, .memory = &r->memory, .want = WANT_ALL};
        who[k++] = i;
    }
    network_run(network, workspace, rides, k);
    for (size_t i = 0; i < k; i++) {
        struct rider *r = riders[who[i]];
        memcpy(r->outputs + r->done * V, rides[i].output, rides[i].n_outputs * V * sizeof(float));
        r->done += rides[i].n_steps;
    }
    return k > 0;
}

/* Alone and whole, or among others and cut: the same bits; and no turn allocates. */
START_TEST(neither_company_nor_cuts_change_a_result)
{
    enum { N = 9 };
    struct network *network = built(networks[_i]);
    struct workspace *workspace = workspace_for(network, N * T, N);
    struct rider *alone[N], *together[N];
    for (size_t i = 0; i < N; i++) {
        alone[i] = rider_new(network, i + 1);
        together[i] = rider_new(network, i + 1);
    }
    uint64_t before = memory_allocations();
    for (size_t i = 0; i < N; i++) turn(network, workspace, &alone[i], 1, T);
    for (size_t cut = 3; turn(network, workspace, together, N, cut); cut = cut % 3 + 1) continue;
    ck_assert_uint_eq(memory_allocations(), before);
    for (size_t i = 0; i < N; i++) {
        ck_assert_mem_eq(alone[i]->outputs, together[i]->outputs, sizeof alone[i]->outputs);
        ck_assert_mem_eq(alone[i]->state, together[i]->state, network_state_floats(network) * sizeof(float));
        ck_assert(alone[i]->outputs[0] != 0);
        rider_free(alone[i]);
        rider_free(together[i]);
    }
    workspace_free(workspace);
    network_free(network);
}
END_TEST

/* Rides of one turn may share a memory, as a beam's do; its keys are made once, and read again later. */
START_TEST(a_memory_is_shared_and_read_once)
{
    struct network *network = built(reader);
    struct workspace *workspace = workspace_for(network, 2 * T, 2);
    struct rider *own = rider_new(network, 3), *a = rider_new(network, 3), *b = rider_new(network, 3);
    size_t floats = network_state_floats(network);
    turn(network, workspace, &own, 1, T);
    struct ride rides[2] = {{.n_steps = 2, .tokens = a->tokens, .state = a->state, .memory = &a->memory},
                            {.n_steps = 2, .tokens = b->tokens, .state = b->state, .memory = &a->memory}};
    network_run(network, workspace, rides, 2);
    ck_assert_uint_eq(a->memory.n_derived, a->memory.S);
    ck_assert_uint_eq(b->memory.n_derived, 0);
    ck_assert_mem_eq(a->state, b->state, floats * sizeof(float));
    memset(a->memory.derived, 0, a->memory.S * network_memory_floats(network) * sizeof(float));
    a->done = b->done = 2;
    turn(network, workspace, &a, 1, T);
    ck_assert_mem_ne(a->outputs + 2 * V, own->outputs + 2 * V, V * sizeof(float)); /* not derived again */
    turn(network, workspace, &b, 1, T);
    ck_assert_mem_eq(b->outputs + 2 * V, own->outputs + 2 * V, (own->n - 2) * V * sizeof(float));
    rider_free(own);
    rider_free(a);
    rider_free(b);
    workspace_free(workspace);
    network_free(network);
}
END_TEST

/* ---- form ---------------------------------------------------------------------------------------- */

START_TEST(the_head_reads_nothing_from_before_the_hidden_vector)
{
    struct network *network = built(decoder);
    ck_assert_uint_eq(network_hidden_size(network), H); /* of the tanh layer, which is recalled */
    ck_assert_uint_eq(network_state_floats(network), 3 * H);
    ck_assert_uint_eq(network_memory_size(network), M);
    ck_assert_uint_eq(network_memory_floats(network), 6);
    ck_assert(!network_is_chain(network));
    ck_assert_ptr_null(trace_unknown(network));
    network_free(network);
    network = built(reader);
    ck_assert_uint_eq(network_hidden_size(network), M + H); /* context and h */
    ck_assert_uint_eq(network_memory_floats(network), H);
    network_free(network);
    network = built(residual);
    ck_assert_uint_eq(network_hidden_size(network), H);
    ck_assert_uint_eq(network_memory_size(network), 0);
    ck_assert_str_eq(network_layer(network, 0)->type->name, "embedding"); /* no lstm takes its place */
    network_free(network);
    network = tiny_generator(V, H);
    ck_assert(network_is_chain(network));
    network_free(network);
}
END_TEST

static const struct {
    struct row rows[MAX_SPECS];
    const char *sentence;
} refused[] = {
    {{{"linear", {3, 4}, 2, 0, {0}}, {"linear", {4, 4}, 2, 2, {0, -1}}},
     "network[1]: linear: 'inputs' names 2 layers, expected one; a concat joins several"},
    {{{"linear", {3, 4}, 2, 0, {0}}, {"concat", {0}, 0, 0, {0}}},
     "network[1]: concat: has one input, expected 'inputs' to name two or more"},
    {{{"linear", {3, 4}, 2, 0, {0}}, {"concat", {0}, 0, 2, {0, 2}}, {"relu", {0}, 0, 0, {0}}},
     "network[1]: concat: reads network[2], expected a layer that comes before it"},
    {{{"linear", {3, 4}, 2, 0, {0}}, {"linear", {4, 5}, 2, 0, {0}}, {"add", {0}, 0, 2, {0, 1}}},
     "network[2]: add: its inputs have 4 and 5 numbers, expected equally many"},
    {{{"concat", {0}, 0, 2, {-1, -1}}},
     "network[0]: concat: cannot be the first layer that reads the network's input, expected one"},
    {{{"linear", {3, 4}, 2, 0, {0}}, {"linear", {3, 2}, 2, 1, {-1}}},
     "network: no layer reads the output of a linear, and it is not the last layer"},
    {{{"embedding", {9, 4}, 2, 0, {0}}, {"embedding", {8, 4}, 2, 1, {-1}}, {"add", {0}, 0, 2, {0, 1}}},
     "network[1]: embedding: reads another number of tokens than the layers before it"},
    {{{"embedding", {9, 4}, 2, 0, {0}}, {"linear", {4, 4}, 2, 1, {-1}}, {"add", {0}, 0, 2, {0, 1}}},
     "network[1]: linear: either all layers that read the network's input read tokens, or none"},
    {{{"linear", {3, 4}, 2, 0, {0}}, {"previous", {4}, 1, 1, {0}}, {"add", {0}, 0, 2, {0, 1}}},
     "network[1]: previous: expected 'inputs' to name a layer that comes later"},
    {{{"linear", {3, 4}, 2, 0, {0}}, {"previous", {4}, 1, 0, {0}}, {"add", {0}, 0, 2, {0, 1}}},
     "network[1]: previous: expected 'inputs' to name a layer that comes later"},
    {{{"linear", {3, 4}, 2, 0, {0}}, {"previous", {4}, 1, 1, {3}}, {"add", {0}, 0, 2, {0, 1}},
      {"linear", {4, 5}, 2, 0, {0}}},
     "network[1]: previous: 'size' is 4, but the layer it recalls (linear) gives 5"},
    {{{"linear", {3, 4}, 2, 0, {0}}, {"previous", {4}, 1, 1, {2}}, {"add", {0}, 0, 2, {0, 1}},
      {"lstm", {4, 4, 1, 1, 1}, 5, 0, {0}}},
     "network[1]: previous: cannot stand in a network that pools, mixes series or reads "
     "in both directions"},
    {{{"lstm", {3, 4}, 2, 0, {0}}, {"pooling", {1}, 1, 0, {0}}, {"add", {0}, 0, 2, {0, 1}}},
     "network[2]: add: reads steps from before pooling, which leaves one vector and no steps"},
    {{{"linear", {3, 4}, 2, 0, {0}}, {"attention", {0, 4, 5}, 3, 0, {0}}},
     "network[1]: attention 'l1': query_size is 4 and memory_size 5, but score 'dot' needs them equal"},
    {{{"linear", {3, 4}, 2, 0, {0}}, {"attention", {2, 4, 5}, 3, 0, {0}}},
     "network[1]: attention 'l1': attention_size is missing, which score 'additive' needs"},
    {{{"linear", {3, 4}, 2, 0, {0}}, {"attention", {1, 4, 5, 3}, 4, 0, {0}}},
     "network[1]: attention 'l1': attention_size is given, which only score 'additive' has"},
    {{{"linear", {3, 4}, 2, 0, {0}}, {"attention", {1, 4, 5}, 3, 0, {0}},
      {"attention", {1, 5, 6}, 3, 0, {0}}},
     "network[2]: attention: attends to rows of 6 numbers, a layer before it to 5"},
    {{{"linear", {3, 4}, 2, 0, {0}}, {"mlstm", {4, 2}, 2, 0, {0}}},
     "network[1]: mlstm 'l1': has 1 inputs, expected 'inputs' to name three: query, key and value"},
    {{{"linear", {3, 4}, 2, 0, {0}}, {"mlstm", {6, 2}, 2, 3, {0, 0, 0}}},
     "network[1]: mlstm 'l1': input 0 has 4 numbers, expected embedding_dim, which is 6"},
    {{{"linear", {3, 4}, 2, 0, {0}}, {"mlstm", {4, 3}, 2, 3, {0, 0, 0}}},
     "network[1]: mlstm 'l1': num_heads is 3, expected a divisor of embedding_dim, which is 4"},
    {{{"linear", {3, 4096}, 2, 0, {0}}, {"mlstm", {4096, 2}, 2, 3, {0, 0, 0}}},
     "network[1]: mlstm 'l1': 2 heads of 2048 x 2048 numbers a sequence, expected at most 4194304 in all"},
    {{{"linear", {3, 4}, 2, 0, {0}}, {"slstm", {4, 2}, 2, 2, {0, -1}}},
     "network[1]: slstm 'l1': expected one input or two, each of 4 numbers: what i and f read, then what z"},
};

START_TEST(layers_that_do_not_fit_together_are_refused)
{
    struct network *network = NULL;
    struct error err = {.message = ""};
    ck_assert_int_ne(build(refused[_i].rows, &network, &err), STATUS_OK);
    ck_assert_msg(!strncmp(err.message, refused[_i].sentence, strlen(refused[_i].sentence)),
                  "is: %s\nnot: %s", err.message, refused[_i].sentence);
}
END_TEST

static struct network *decoder_in_int8(const struct network *encoder)
{
    struct layer_spec specs[MAX_SPECS];
    const size_t n = specs_of(reader, specs);
    struct network *network;
    enum status status =
        encoder ? network_new_decoder(encoder, specs, n, tiny_tensors(), PRECISION_INT8, &network, NULL)
                : network_new(specs, n, tiny_tensors(), PRECISION_INT8, &network, NULL);
    ck_assert_int_eq(status, STATUS_OK);
    return network;
}

/* The largest difference of what two networks give for the same sequence. */
static float difference(const struct network *a, const struct network *b)
{
    const struct network *both[] = {a, b};
    struct rider *riders[2];
    float largest = 0;
    for (size_t i = 0; i < 2; i++) {
        struct workspace *workspace = workspace_for(both[i], T, 1);
        riders[i] = rider_new(both[i], 3);
        turn(both[i], workspace, &riders[i], 1, T);
        workspace_free(workspace);
    }
    for (size_t i = 0; i < riders[0]->n * V; i++)
        largest = fmaxf(largest, fabsf(riders[0]->outputs[i] - riders[1]->outputs[i]));
    rider_free(riders[0]);
    rider_free(riders[1]);
    return largest;
}

/* What follows attention reads codes if the encoder's outputs lie in [-1, 1], and floats if they may not. */
START_TEST(a_decoder_has_codes_where_the_encoder_is_bounded)
{
    static const struct row bounded[] = {{"embedding", {V, E}, 2, 0, {0}}, {"lstm", {E, M}, 2, 0, {0}},
                                         {.type = NULL}};
    static const struct row unbounded[] = {{"embedding", {V, E}, 2, 0, {0}}, {"linear", {E, M}, 2, 0, {0}},
                                           {.type = NULL}};
    struct network *float32 = built(reader), *alone = decoder_in_int8(NULL);
    struct network *encoders[] = {built(bounded), built(unbounded)};
    struct network *narrow = decoder_in_int8(encoders[0]), *wide = decoder_in_int8(encoders[1]);
    ck_assert_uint_lt(network_bytes(narrow), network_bytes(alone));
    ck_assert_uint_eq(network_bytes(wide), network_bytes(alone));
    ck_assert_uint_eq(network_family(narrow), network_family(encoders[0]));
    ck_assert(difference(wide, alone) == 0);
    ck_assert(difference(narrow, alone) > 0);
    ck_assert(difference(narrow, float32) < 0.02f);
    struct network *all[] = {float32, alone, narrow, wide, encoders[0], encoders[1]};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) network_free(all[i]);
}
END_TEST

START_TEST(a_network_that_finds_no_memory_fails_cleanly)
{
    for (uint64_t nth = 1;; nth++) {
        struct network *network = NULL;
        struct error err = {.message = ""};
        memory_fail_at(nth);
        enum status status = build(decoder, &network, &err);
        memory_fail_at(0);
        if (status == STATUS_OK) {
            ck_assert_uint_gt(nth, 15);
            network_free(network);
            return;
        }
        ck_assert_int_eq(status, STATUS_NO_MEMORY);
        ck_assert_str_ne(err.message, "");
    }
}
END_TEST

Suite *graph_suite(void)
{
    Suite *suite = suite_create("graph");
    TCase *core = tcase_create("core");
    tcase_add_loop_test(core, neither_company_nor_cuts_change_a_result, 0, N_NETWORKS);
    tcase_add_test(core, a_memory_is_shared_and_read_once);
    tcase_add_test(core, the_head_reads_nothing_from_before_the_hidden_vector);
    tcase_add_loop_test(core, layers_that_do_not_fit_together_are_refused, 0,
                        (int)(sizeof refused / sizeof *refused));
    tcase_add_test(core, a_decoder_has_codes_where_the_encoder_is_bounded);
    tcase_add_test(core, a_network_that_finds_no_memory_fails_cleanly);
    suite_add_tcase(suite, core);
    return suite;
}
