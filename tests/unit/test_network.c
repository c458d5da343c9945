/* network: that a ride's result depends on the ride alone, what rides may ask for, what is refused,
 * that a turn allocates nothing. Arithmetic is checked in test_layers.c and in tests/golden. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/network/network.h"
#include "tests/support/crew.h"
#include "tests/support/plans.h"
#include "tests/support/tiny.h"
#include "tests/support/taken.h"

static struct workspace *make_workspace(const struct network *network, size_t rows, size_t n)
{
    struct workspace *workspace = NULL;
    ck_assert_int_eq(workspace_new(rows, n, &workspace), STATUS_OK);
    ck_assert_int_eq(workspace_fit(workspace, network), STATUS_OK);
    return workspace;
}

/* Sequences ------------------------------------------------------------------------------ */

static uint32_t random_state;

static size_t random_below(size_t n)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (random_state >> 8) % n;
}

/* A made-up sequence, and what was collected of its outputs. */
struct rider {
    size_t n_steps, done, n_outputs;
    int32_t *tokens;
    float *features, *state, *outputs;
};

static struct rider rider_new(const struct network *network, size_t n_steps)
{
    size_t V = network_vocabulary_size(network), I = network_input_size(network);
    struct rider rider = {.n_steps = n_steps};
    rider.tokens = memory_new(n_steps, sizeof *rider.tokens);
    rider.features = memory_new(n_steps * I, sizeof(float));
    rider.state = memory_new(network_state_floats(network), sizeof(float));
    rider.outputs = memory_new(n_steps * network_output_size(network), sizeof(float));
    for (size_t i = 0; V && i < n_steps; i++) rider.tokens[i] = (int32_t)random_below(V);
    for (size_t i = 0; i < n_steps * I; i++)
        rider.features[i] = (float)random_below(4001) / 1000 - 2;
    return rider;
}

static void rider_free(struct rider *rider)
{
    memory_free(rider->tokens);
    memory_free(rider->features);
    memory_free(rider->state);
    memory_free(rider->outputs);
}

static void rider_rewind(const struct network *network, struct rider *rider)
{
    rider->done = rider->n_outputs = 0;
    memset(rider->state, 0, network_state_floats(network) * sizeof(float));
    memset(rider->outputs, 0,
           rider->n_steps * network_output_size(network) * sizeof(float));
}

static struct ride rider_feed(const struct network *network, const struct rider *rider,
                              size_t n_steps)
{
    struct ride ride = {.n_steps = n_steps, .state = rider->state, .want = WANT_ALL};
    if (network_input_size(network))
        ride.features = rider->features + rider->done * network_input_size(network);
    else ride.tokens = rider->tokens + rider->done;
    if (network_has_pooling(network))
        ride.want = rider->done + n_steps == rider->n_steps ? WANT_LAST : WANT_NONE;
    return ride;
}

static void rider_receive(const struct network *network, struct rider *rider, const struct ride *ride)
{
    size_t size = network_output_size(network);
    rider->done += ride->n_steps;
    if (ride->n_outputs == 0) return;
    memcpy(rider->outputs + rider->n_outputs * size, ride->output,
           ride->n_outputs * size * sizeof(float));
    rider->n_outputs += ride->n_outputs;
}

/* Batch independence ---------------------------------------------------------------------- */

enum { RIDERS = 64, LONGEST = 30 };

static void ride_alone(const struct network *network, struct workspace *workspace,
                       struct rider *rider)
{
    struct ride ride = rider_feed(network, rider, rider->n_steps);
    network_run(network, workspace, &ride, 1);
    rider_receive(network, rider, &ride);
}

/* All of them, in turns of random size and at random joining and leaving. */
static void ride_together(const struct network *network, struct workspace *workspace,
                          struct rider *riders)
{
    for (size_t left = RIDERS; left > 0;) {
        struct ride rides[RIDERS];
        struct rider *who[RIDERS];
        size_t n = 0;
        for (size_t i = 0; i < RIDERS; i++) {
            size_t todo = riders[i].n_steps - riders[i].done;
            if (todo == 0 || random_below(4) == 0) continue;
            size_t steps = network_is_whole(network) ? todo : 1 + random_below(todo);
            who[n] = &riders[i];
            rides[n++] = rider_feed(network, &riders[i], steps);
        }
        network_run(network, workspace, rides, n);
        for (size_t i = 0; i < n; i++) {
            rider_receive(network, who[i], &rides[i]);
            left -= who[i]->done == who[i]->n_steps;
        }
    }
}

static void check_independence(const struct plan *plan, enum precision precision)
{
    struct network *network = plan_build(plan, precision);
    struct workspace *workspace = make_workspace(network, RIDERS * LONGEST, RIDERS);
    struct rider riders[RIDERS];
    size_t size = network_output_size(network), state_floats = network_state_floats(network);
    random_state = 7;
    for (size_t i = 0; i < RIDERS; i++)
        riders[i] = rider_new(network, 1 + random_below(i % 8 ? 8 : LONGEST));
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < RIDERS; i++) rider_rewind(network, &riders[i]);
        ride_together(network, workspace, riders);
        for (size_t i = 0; i < RIDERS; i++) {
            struct rider alone = rider_new(network, riders[i].n_steps);
            size_t I = network_input_size(network);
            memcpy(alone.tokens, riders[i].tokens, alone.n_steps * sizeof *alone.tokens);
            memcpy(alone.features, riders[i].features, alone.n_steps * I * sizeof(float));
            ride_alone(network, workspace, &alone);
            ck_assert_uint_eq(alone.n_outputs, riders[i].n_outputs);
            ck_assert_msg(!memcmp(alone.outputs, riders[i].outputs,
                                  alone.n_outputs * size * sizeof(float))
                          && !memcmp(alone.state, riders[i].state, state_floats * sizeof(float)),
                          "%s, %s, %s: sequence %zu of %zu steps differs from itself alone",
                          plan->name, kernels_active()->name, precision_name(precision), i,
                          alone.n_steps);
            rider_free(&alone);
        }
    }
    for (size_t i = 0; i < RIDERS; i++) rider_free(&riders[i]);
    workspace_free(workspace);
    network_free(network);
}

START_TEST(test_batch_independence)
{
    const struct kernels *set;
    for (size_t i = 0; (set = kernels_available(i)); i++) {
        if (!set->batch_independent) continue;
        ck_assert_int_eq(kernels_select(set->name, NULL), STATUS_OK);
        for (int precision = 0; precision < N_PRECISIONS; precision++)
            check_independence(_i < n_plans ? &plans[_i] : &wide_plans[_i - n_plans],
                               (enum precision)precision);
    }
}
END_TEST

/* More sequences, and more rows, than a run of recurrent.c holds. */
START_TEST(test_more_rows_than_a_block)
{
    enum { N = 300 };
    struct network *network = plan_build(&plans[_i], PRECISION_INT8);
    struct workspace *workspace = make_workspace(network, 4 * N, N);
    static struct rider riders[N], alone;
    static struct ride rides[N];
    random_state = 3;
    for (size_t i = 0; i < N; i++) {
        riders[i] = rider_new(network, 1 + i % 4);
        rides[i] = rider_feed(network, &riders[i], riders[i].n_steps);
    }
    network_run(network, workspace, rides, N);
    for (size_t i = 0; i < N; i++) rider_receive(network, &riders[i], &rides[i]);
    for (size_t i = 0; i < N; i++) {
        alone = riders[i];
        alone.outputs = memory_new(4 * network_output_size(network), sizeof(float));
        rider_rewind(network, &alone);
        ride_alone(network, workspace, &alone);
        ck_assert_mem_eq(alone.outputs, riders[i].outputs,
                         alone.n_outputs * network_output_size(network) * sizeof(float));
        memory_free(alone.outputs);
        rider_free(&riders[i]);
    }
    workspace_free(workspace);
    network_free(network);
}
END_TEST

/* Turns shared by three threads have the bits of turns run alone. */
START_TEST(test_team_changes_no_bit)
{
    static struct crew crew;
    struct network *network = plan_build(&wide_plans[_i / N_PRECISIONS],
                                    (enum precision)(_i % N_PRECISIONS));
    struct workspace *workspace = make_workspace(network, RIDERS * LONGEST, RIDERS);
    size_t floats = LONGEST * network_output_size(network);
    struct rider riders[RIDERS];
    random_state = 5;
    for (size_t i = 0; i < RIDERS; i++)
        riders[i] = rider_new(network, 1 + random_below(i % 16 ? 4 : LONGEST));
    float *alone = memory_new(RIDERS * floats, sizeof *alone);
    /* Members that write over each other do so only when they truly run at once: give it some rounds. */
    for (int lends = 0; lends < 6; lends++) {
        if (lends == 1) {
            crew_start(&crew, 3);
            crew_wait(&crew);
            workspace_lend(workspace, &crew.team);
        }
        for (size_t i = 0; i < RIDERS; i++) rider_rewind(network, &riders[i]);
        ride_together(network, workspace, riders);
        for (size_t i = 0; i < RIDERS; i++) {
            size_t n = riders[i].n_outputs * network_output_size(network);
            if (lends) ck_assert_mem_eq(riders[i].outputs, alone + i * floats, n * sizeof(float));
            else memcpy(alone + i * floats, riders[i].outputs, n * sizeof(float));
        }
    }
    crew_stop(&crew);
    for (size_t i = 0; i < RIDERS; i++) rider_free(&riders[i]);
    memory_free(alone);
    workspace_free(workspace);
    network_free(network);
}
END_TEST

/* What a ride asks for -------------------------------------------------------------------- */

/* Rides of every want and tap in one turn give what rides that look at everything gave. */
START_TEST(test_looks_and_taps)
{
    enum { T = 5, N = 6 };
    struct network *network = plan_build(plan_named("words"), PRECISION_FLOAT32);
    struct workspace *workspace = make_workspace(network, N * T, N);
    size_t H = network_hidden_size(network), V = network_output_size(network);
    ck_assert_uint_eq(H, 17);
    ck_assert_uint_eq(V, 50);
    struct rider all = rider_new(network, T);
    float *states = memory_new(N * network_state_floats(network), sizeof(float));
    float *hidden = memory_new(T * H, sizeof(float));
    struct ride rides[N] = {rider_feed(network, &all, T)};
    rides[0].tap = TAP_HIDDEN;
    network_run(network, workspace, rides, 1);
    memcpy(hidden, rides[0].output, T * H * sizeof(float));
    rider_rewind(network, &all);
    ride_alone(network, workspace, &all);
    for (size_t i = 0; i < N; i++) {
        rides[i] = rider_feed(network, &(struct rider){.tokens = all.tokens}, T);
        rides[i].state = states + i * network_state_floats(network);
        rides[i].want = (enum want)(i % 3);
        rides[i].tap = i < 3 ? TAP_HIDDEN : TAP_OUTPUT;
    }
    network_run(network, workspace, rides, N);
    for (size_t i = 0; i < N; i++) {
        size_t size = i < 3 ? H : V, skip = i % 3 == WANT_LAST ? T - 1 : 0;
        const float *expected = (i < 3 ? hidden : all.outputs) + skip * size;
        const size_t n_outputs[] = {[WANT_NONE] = 0, [WANT_LAST] = 1, [WANT_ALL] = T};
        ck_assert_uint_eq(rides[i].n_outputs, n_outputs[i % 3]);
        if (i % 3 == WANT_NONE) ck_assert_ptr_null(rides[i].output);
        else ck_assert_mem_eq(rides[i].output, expected, n_outputs[i % 3] * size * sizeof(float));
    }
    /* the hidden vector of an lstm's last step is its h, which the state begins with */
    ck_assert_mem_eq(hidden + (T - 1) * H, states, H * sizeof(float));
    memory_free(states), memory_free(hidden);
    rider_free(&all);
    workspace_free(workspace);
    network_free(network);
}
END_TEST

START_TEST(test_hidden_vector_of_pooling)
{
    struct network *network = plan_build(plan_named("both"), PRECISION_FLOAT32);
    struct workspace *workspace = make_workspace(network, 8, 2);
    struct rider rider = rider_new(network, 4);
    ck_assert_uint_eq(network_hidden_size(network), 34);
    ck_assert(network_is_whole(network));
    ck_assert(network_has_pooling(network));
    struct ride rides[2] = {rider_feed(network, &rider, 4), rider_feed(network, &rider, 4)};
    rides[1].tap = TAP_HIDDEN;
    network_run(network, workspace, rides, 2);
    ck_assert_uint_eq(rides[0].n_outputs, 1);
    ck_assert_uint_eq(rides[1].n_outputs, 1);
    ck_assert_ptr_ne(rides[0].output, rides[1].output);
    rider_free(&rider);
    workspace_free(workspace);
    network_free(network);
}
END_TEST

/* One workspace serves networks in turn, once it fits each. */
START_TEST(test_shared_workspace)
{
    struct network *small = plan_build(plan_named("max"), PRECISION_INT8);
    struct network *large = plan_build(plan_named("generator"), PRECISION_FLOAT32);
    struct workspace *workspace = make_workspace(small, 20, 2);
    ck_assert_uint_eq(workspace_rows(workspace), 20);
    size_t bytes = workspace_bytes(workspace);
    ck_assert_int_eq(workspace_fit(workspace, large), STATUS_OK);
    ck_assert_uint_gt(workspace_bytes(workspace), bytes);
    bytes = workspace_bytes(workspace);
    ck_assert_int_eq(workspace_fit(workspace, small), STATUS_OK);
    ck_assert_uint_eq(workspace_bytes(workspace), bytes);
    struct rider a = rider_new(small, 10), b = rider_new(large, 20);
    for (int i = 0; i < 2; i++) {
        float kept = a.outputs[0];
        rider_rewind(small, &a), rider_rewind(large, &b);
        ride_alone(large, workspace, &b);
        ride_alone(small, workspace, &a);
        if (i) ck_assert_float_eq(kept, a.outputs[0]);
    }
    rider_free(&a), rider_free(&b);
    workspace_free(workspace);
    network_free(small), network_free(large);
}
END_TEST

START_TEST(test_inspection)
{
    struct network *network = plan_build(plan_named("series"), PRECISION_FLOAT16);
    ck_assert_uint_eq(network_input_size(network), 3);
    ck_assert_uint_eq(network_vocabulary_size(network), 0);
    ck_assert_uint_eq(network_output_size(network), 2);
    ck_assert_uint_eq(network_state_floats(network), 2 * 2 * 33);
    ck_assert_int_eq(network_precision(network), PRECISION_FLOAT16);
    ck_assert(!network_is_whole(network));
    ck_assert(!network_has_pooling(network));
    ck_assert_uint_gt(network_bytes(network), 2 * 132 * (3 + 3 * 33));
    ck_assert_uint_eq(network_layer(network, 0)->state_offset, 0);
    ck_assert_ptr_null(network_layer(network, 2));
    network_free(network);
}
END_TEST

/* Resources ------------------------------------------------------------------------------ */

START_TEST(test_turn_allocates_nothing)
{
    struct network *network = plan_build(&plans[_i], PRECISION_INT8);
    struct workspace *workspace = make_workspace(network, 40, 3);
    struct rider rider = rider_new(network, 13);
    uint64_t before = memory_allocations();
    for (int i = 0; i < 3; i++) {
        rider_rewind(network, &rider);
        ride_alone(network, workspace, &rider);
    }
    ck_assert_uint_eq(memory_allocations(), before);
    rider_free(&rider);
    workspace_free(workspace);
    network_free(network);
}
END_TEST

/* Every allocation of network_new fails once; leak checkers see whether anything stays behind. */
START_TEST(test_no_memory_for_a_network)
{
    struct layer_spec specs[PLAN_MAX_LAYERS];
    size_t n = plan_specs(&plans[_i], specs);
    for (uint64_t nth = 1;; nth++) {
        struct network *network = NULL;
        struct error err = {0};
        memory_fail_at(nth);
        enum status status = network_new(specs, n, tiny_tensors(), PRECISION_INT8, &network, &err);
        memory_fail_at(0);
        if (status == STATUS_OK) {
            network_free(network);
            ck_assert_uint_gt(nth, 4);
            return;
        }
        ck_assert_int_eq(status, STATUS_NO_MEMORY);
        ck_assert_int_eq(err.status, STATUS_NO_MEMORY);
        ck_assert_str_ne(err.message, "");
        ck_assert_ptr_null(network);
    }
}
END_TEST

START_TEST(test_no_memory_for_a_workspace)
{
    struct network *network = plan_build(plan_named("series"), PRECISION_INT8);
    struct workspace *workspace = NULL;
    for (uint64_t nth = 1; nth <= 8; nth++) {
        memory_fail_at(nth);
        ck_assert_int_eq(workspace_new(10, 10, &workspace), STATUS_NO_MEMORY);
        ck_assert_ptr_null(workspace);
    }
    memory_fail_at(0);
    ck_assert_int_eq(workspace_new(10, 10, &workspace), STATUS_OK);
    memory_fail_at(1);
    ck_assert_int_eq(workspace_fit(workspace, network), STATUS_NO_MEMORY);
    memory_fail_at(0);
    ck_assert_int_eq(workspace_fit(workspace, network), STATUS_OK);
    workspace_free(workspace);
    workspace_free(NULL);
    network_free(network);
    network_free(NULL);
}
END_TEST

/* What is refused ------------------------------------------------------------------------- */

static enum status take_nothing(struct tensors *self, const char *name, size_t rank,
                                const size_t *shape, float **out, struct error *err)
{
    (void)self, (void)rank, (void)shape, (void)out;
    return error_set(err, STATUS_NOT_FOUND, "tensor '%s': not in the file", name);
}

static enum status take_large(struct tensors *self, const char *name, size_t rank,
                              const size_t *shape, float **out, struct error *err)
{
    enum status status = tiny_tensors()->take(self, name, rank, shape, out, err);
    if (status == STATUS_OK) (*out)[0] = 1e6f;
    return status;
}

struct refusal {
    struct plan plan;
    enum status (*take)(struct tensors *self, const char *name, size_t rank, const size_t *shape,
                        float **out, struct error *err);
    enum status status;
    const char *message;
};

static const struct refusal refusals[] = {
    {{"", {{"dropout", "", {0}, 0}}}, NULL, STATUS_BAD_VALUE,
     "network: no layer that computes anything, expected at least one"},
    {{"", {{"relu", "", {0}, 0}}}, NULL, STATUS_BAD_VALUE,
     "network[0]: relu: cannot be the first layer, expected one that gives its input size"},
    {{"", {{"pooling", "", {0}, 1}}}, NULL, STATUS_BAD_VALUE,
     "network[0]: pooling: cannot be the first layer, expected steps to pool before it"},
    {{"", {{"embedding", "e", {3, 2}, 2}, {"embedding", "e", {3, 2}, 2}}}, NULL, STATUS_BAD_VALUE,
     "network[1]: embedding 'e': reads tokens, expected to be the first layer"},
    {{"", {{"lstm", "l", {3, 2}, 2}, {"one_hot", "", {3}, 1}}}, NULL, STATUS_BAD_VALUE,
     "network[1]: one_hot: reads tokens, expected to be the first layer"},
    {{"", {{"lstm", "l", {3, 2}, 2}, {"linear", "f", {5, 2}, 2}}}, NULL, STATUS_BAD_SHAPE,
     "network[1]: linear: takes 5 inputs, but the layer before it (lstm) gives 2"},
    {{"", {{"embedding", "e", {9, 4}, 2}, {"dropout", "", {0}, 0}, {"lstm", "l", {3, 2}, 2}}},
     NULL, STATUS_BAD_SHAPE,
     "network[2]: lstm: takes 3 inputs, but the layer before it (embedding) gives 4"},
    {{"", {{"lstm", "l", {3, 2}, 2}, {"pooling", "", {1}, 1}, {"lstm", "m", {2, 2}, 2}}}, NULL,
     STATUS_BAD_VALUE,
     "network[2]: lstm: cannot follow pooling, which leaves one vector and no steps"},
    {{"", {{"lstm", "l", {3, 2, 1, 1, 0, 2}, 6}}}, NULL, STATUS_BAD_VALUE,
     "network[0]: lstm 'l': proj_size is 2, expected less than hidden_size, which is 2"},
    {{"", {{"gru", "g", {3, 2, 2, 1, 0, 1, 0, 0, 1}, 9}}}, NULL, STATUS_BAD_VALUE,
     "network[0]: gru 'g': go_backwards with num_layers 2, expected 1; list each layer by itself, because "
     "each turns its input round"},
    {{"", {{"rnn", "r", {3, 2, 1, 1, 1, 0, 1}, 7}}}, NULL, STATUS_BAD_VALUE,
     "network[0]: rnn 'r': go_backwards and bidirectional are both true, expected one of them; a "
     "bidirectional layer reads both ways by itself"},
    {{"", {{"conv1d", "c", {6, 6, 3, 0, 1, 1, 2}, 7}}}, NULL, STATUS_BAD_VALUE,
     "network[0]: conv1d 'c': groups is 2, expected 1, or in_channels (6) with as many out_channels"},
    {{"", {{"conv1d", "c", {6, 6, 1000, 0, 1, 2}, 6}}}, NULL, STATUS_BAD_VALUE,
     "network[0]: conv1d 'c': kernel_size 1000 with dilation 2 reaches 1998 steps, expected at most 1024"},
    {{"", {{"conv1d", "c", {500000, 6, 2, 0, 1, 1000}, 6}}}, NULL, STATUS_BAD_VALUE,
     "network[0]: conv1d 'c': 1000 steps of 500000 channels are kept, expected at most 4194304 numbers"},
    {{"", {{"conv1d", "c", {1050, 6, 1000, 0}, 4}}}, NULL, STATUS_BAD_VALUE,
     "network[0]: conv1d 'c': kernel_size 1000 x in_channels 1050, expected a product of at most 1048576"},
    {{"", {{"group_norm", "n", {6, 0, 1, 1, 4}, 5}}}, NULL, STATUS_BAD_VALUE,
     "network[0]: group_norm 'n': num_groups is 4, expected a divisor of num_channels, which is 6"},
    {{"", {{"slstm", "s", {6, 4}, 2}}}, NULL, STATUS_BAD_VALUE,
     "network[0]: slstm 's': num_heads is 4, expected a divisor of embedding_dim, which is 6"},
    {{"", {{"batch_norm", "n", {6}, 1}}}, NULL, STATUS_BAD_VALUE,
     "network[0]: tensor 'n.running_var': value 0 is -0.482726, expected 0 or more"},
    {{"", {{"softmax", "", {0}, 0}}}, NULL, STATUS_BAD_VALUE,
     "network[0]: softmax: cannot be the first layer, expected one that gives its input size"},
    {{"", {{"flatten", "", {3}, 1}}}, NULL, STATUS_BAD_VALUE,
     "network[0]: flatten: cannot be the first layer, expected steps to flatten before it"},
    {{"", {{"linear", "f", {3, 1000}, 2}, {"flatten", "", {4000}, 1}}}, NULL, STATUS_BAD_VALUE,
     "network[1]: flatten: 4000 steps of 1000 numbers, expected at most 1048576 in all"},
    {{"", {{"attention_pooling", "a", {3}, 1}}}, NULL, STATUS_BAD_VALUE,
     "network[0]: attention_pooling: cannot be the first layer, expected steps to pool before it"},
    {{"", {{"lstm", "a.l", {3, 2}, 2}}}, take_nothing, STATUS_NOT_FOUND,
     "network[0]: tensor 'a.l.bias_ih_l0': not in the file"},
    {{"", {{"lstm", "l", {3, 2, 1, 0}, 4}}}, take_large, STATUS_BAD_VALUE,
     "network[0]: tensor 'l.weight_ih_l0': a weight is too large for float16 (at most 65504)"},
};
enum { N_REFUSALS = sizeof refusals / sizeof *refusals };

START_TEST(test_refusal)
{
    const struct refusal *r = &refusals[_i];
    struct layer_spec specs[PLAN_MAX_LAYERS];
    struct tensors tensors = {.take = r->take ? r->take : tiny_tensors()->take,
                              .read = r->take ? taken_read : tiny_tensors()->read};
    struct network *network = NULL;
    struct error err = {0};
    size_t n = plan_specs(&r->plan, specs);
    ck_assert_int_eq(network_new(specs, n, &tensors, PRECISION_FLOAT16, &network, &err),
                     r->status);
    ck_assert_int_eq(err.status, r->status);
    ck_assert_str_eq(err.message, r->message);
    ck_assert_ptr_null(network);
}
END_TEST

Suite *network_suite(void);

Suite *network_suite(void)
{
    Suite *suite = suite_create("network");
    TCase *rides = tcase_create("rides"), *limits = tcase_create("limits");
    tcase_set_timeout(rides, 60);
    tcase_add_loop_test(rides, test_batch_independence, 0, n_plans + n_wide_plans);
    tcase_add_loop_test(rides, test_more_rows_than_a_block, 0, n_plans);
    tcase_add_loop_test(rides, test_team_changes_no_bit, 0, n_wide_plans * N_PRECISIONS);
    tcase_add_test(rides, test_looks_and_taps);
    tcase_add_test(rides, test_hidden_vector_of_pooling);
    tcase_add_test(rides, test_shared_workspace);
    tcase_add_test(rides, test_inspection);
    tcase_add_loop_test(limits, test_turn_allocates_nothing, 0, n_plans);
    tcase_add_loop_test(limits, test_no_memory_for_a_network, 0, n_plans);
    tcase_add_test(limits, test_no_memory_for_a_workspace);
    tcase_add_loop_test(limits, test_refusal, 0, N_REFUSALS);
    suite_add_tcase(suite, rides);
    suite_add_tcase(suite, limits);
    return suite;
}
