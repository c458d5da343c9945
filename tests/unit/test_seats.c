/* Sequences that go on into another network, and sequences that take several seats. Drivers made by hand,
 * over tiny networks. */
#include <check.h>
#include <string.h>

#include "core/base/memory.h"
#include "core/scheduler/worker.h"
#include "tests/support/await.h"
#include "tests/support/riders.h"
#include "tests/support/tiny.h"

Suite *seats_suite(void);

enum { V = RIDERS_V, H = RIDERS_H, MAX_STEPS = 64 };

static struct network *encoder, *decoder;
static atomic_int aboard, most_aboard;

static void setup(void)
{
    const long values[] = {V, H, 1, 1, 1};
    struct layer_spec specs[] = {tiny_layer("one_hot", "", 1, values),
                                 tiny_layer("lstm", "encoder", 5, values)};
    struct error err;
    ck_assert_int_eq(network_new(specs, 2, tiny_tensors(), PRECISION_FLOAT32, &encoder, &err), STATUS_OK);
    decoder = tiny_generator(V, H);
    network_join(decoder, encoder);
    atomic_store(&aboard, 0);
    atomic_store(&most_aboard, 0);
}

static void teardown(void)
{
    network_free(encoder);
    network_free(decoder);
}

static int32_t largest(const float *values, size_t n)
{
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (values[i] > values[best]) best = i;
    return (int32_t)best;
}

/* ---- from the encoder into the decoder ----------------------------------------------------------- */

/* Reads its source whole, then generates. The first token and the state depend on all of the encoder's
 * outputs. */
struct translation {
    struct sequence sequence;
    int32_t source[MAX_STEPS], target[MAX_STEPS];
    size_t n_source, n_fed, n_target;
    float *state;
    enum status reason;
    atomic_int finished;
};

static void translation_feed(struct sequence *sequence, size_t room, struct ride *rides)
{
    struct translation *t = (struct translation *)sequence;
    bool encodes = sequence->network == encoder;
    ck_assert_uint_ge(room, encodes ? t->n_source : 1);
    if (encodes && atomic_fetch_add(&aboard, 1) >= atomic_load(&most_aboard))
        atomic_store(&most_aboard, atomic_load(&aboard));
    rides[0].n_steps = encodes ? t->n_source : 1;
    rides[0].tokens = encodes ? t->source : &t->target[t->n_fed];
    rides[0].want = encodes ? WANT_ALL : WANT_LAST;
}

static enum next translation_receive(struct sequence *sequence, struct worker *worker,
                                     const struct ride *rides)
{
    struct translation *t = (struct translation *)sequence;
    (void)worker;
    if (sequence->network == decoder) {
        t->target[++t->n_fed] = largest(rides[0].output, V);
        return t->n_fed == t->n_target ? LEAVE : STAY;
    }
    ck_assert_uint_eq(rides[0].n_outputs, t->n_source);
    for (size_t i = 0; i < t->n_source; i++)
        for (size_t k = 0; k < H; k++) t->state[k] += 0.1f * rides[0].output[i * 2 * H + k];
    t->target[0] = largest(t->state, H);
    sequence->network = decoder;
    sequence->state = t->state;
    return STAY;
}

static void translation_finish(struct sequence *sequence, enum status reason)
{
    struct translation *t = (struct translation *)sequence;
    t->reason = reason;
    if (reason == STATUS_OK) ck_assert_uint_eq(sequence->stats.steps, t->n_source + t->n_target);
    atomic_fetch_sub(&aboard, 1);
    atomic_fetch_add(&t->finished, 1);
}

static const struct driver translation_driver = {translation_feed, translation_receive, translation_finish};

static struct translation *translation_new(size_t seed)
{
    struct translation *t = memory_new(1, sizeof *t);
    t->state = memory_new(network_state_floats(decoder), sizeof *t->state);
    t->n_source = 1 + seed * 7 % 40;
    t->n_target = 5 + seed % 30;
    for (size_t i = 0; i < t->n_source; i++) t->source[i] = (int32_t)((seed + i * i) % V);
    t->sequence = (struct sequence){.driver = &translation_driver, .network = encoder,
                                    .whole_steps = t->n_source, .cost_steps = t->n_source + t->n_target,
                                    .least_steps = t->n_source + 1};
    return t;
}

static void translation_free(struct translation *t)
{
    memory_free(t->state);
    memory_free(t);
}

static void translation_submit(struct scheduler *s, struct translation *t)
{
    int64_t retry_us;
    ck_assert_int_eq(scheduler_submit(s, (struct sequence *const[]){&t->sequence}, 1, &retry_us), STATUS_OK);
}

START_TEST(a_sequence_goes_on_into_the_next_network)
{
    enum { N = 60 };
    struct scheduler *alone = riders_scheduler(1, 1, 1, 100), *crowded = riders_scheduler(2, 16, 8, 100);
    struct translation *a[N], *b[N];
    for (size_t i = 0; i < N; i++) {
        translation_submit(alone, a[i] = translation_new(i));
        translation_submit(crowded, b[i] = translation_new(i));
    }
    riders_settle(alone);
    riders_settle(crowded);
    for (size_t i = 0; i < N; i++) {
        ck_assert_int_eq(a[i]->reason, STATUS_OK);
        ck_assert_int_eq(atomic_load(&a[i]->finished), 1);
        ck_assert_mem_eq(a[i]->target, b[i]->target, sizeof a[i]->target);
        ck_assert_mem_eq(a[i]->state, b[i]->state, network_state_floats(decoder) * sizeof(float));
        ck_assert_int_gt(b[i]->sequence.stats.first_output_us, b[i]->sequence.stats.boarded_us);
    }
    ck_assert_mem_ne(a[3]->target, a[4]->target, sizeof a[3]->target);
    ck_assert_uint_eq(crowded->queue.n_lines, 1); /* of both networks */
    for (size_t i = 0; i < N; i++) translation_free(a[i]), translation_free(b[i]);
    scheduler_free(alone);
    scheduler_free(crowded);
}
END_TEST

/* Sequences that decode keep their places: one client has no more aboard than a turn serves, of both networks
 * together. */
START_TEST(both_halves_count_as_one_line)
{
    enum { N = 12 };
    struct scheduler *s = riders_scheduler(1, 2, 8, 100);
    struct translation *t[N];
    for (size_t i = 0; i < N; i++) translation_submit(s, t[i] = translation_new(i));
    riders_settle(s);
    ck_assert_int_eq(atomic_load(&most_aboard), 2);
    for (size_t i = 0; i < N; i++) translation_free(t[i]);
    scheduler_free(s);
}
END_TEST

START_TEST(a_change_of_network_allocates_nothing)
{
    enum { N = 20 };
    struct scheduler *s = riders_scheduler(1, 4, 8, 100);
    struct translation *warm = translation_new(5), *t[N];
    translation_submit(s, warm);
    riders_settle(s);
    for (size_t i = 0; i < N; i++) t[i] = translation_new(i);
    uint64_t before = memory_allocations();
    for (size_t i = 0; i < N; i++) translation_submit(s, t[i]);
    riders_settle(s);
    ck_assert_uint_le(memory_allocations() - before, 1); /* the second lane, if both are open at once */
    for (size_t i = 0; i < N; i++) translation_free(t[i]);
    translation_free(warm);
    scheduler_free(s);
}
END_TEST

/* ---- several seats ------------------------------------------------------------------------------- */

enum { BEAMS = 3, BEAM_STEPS = 20 };

/* A beam search whose score is the sum of outputs. It reads a prompt in one ride, then goes on with the best
 * tokens. Hypotheses change places by their pointers; only one that is chosen twice is copied. */
struct beam {
    struct sequence sequence;
    int32_t prompt[MAX_STEPS], token[BEAMS], history[BEAM_STEPS][BEAMS];
    size_t n_prompt, n_read, n_done;
    float score[BEAMS], *state[BEAMS];
    atomic_int finished;
};

static void beam_feed(struct sequence *sequence, size_t room, struct ride *rides)
{
    struct beam *b = (struct beam *)sequence;
    size_t left = b->n_prompt - b->n_read;
    if (left) {
        rides[0].n_steps = left < room ? left : room;
        rides[0].tokens = b->prompt + b->n_read;
        rides[0].state = b->state[0];
        rides[0].want = rides[0].n_steps == left ? WANT_LAST : WANT_NONE;
        return;
    }
    for (size_t i = 0; i < BEAMS; i++) {
        ck_assert_uint_eq(rides[i].n_steps, 0);
        rides[i].n_steps = 1;
        rides[i].tokens = &b->token[i];
        rides[i].state = b->state[i];
        rides[i].want = WANT_LAST;
    }
}

/* The BEAMS best of the n hypotheses' continuations: parent and token of each. */
static void choose(const struct beam *b, const struct ride *rides, size_t n, size_t *parent, int32_t *token,
                   float *score)
{
    bool taken[BEAMS * V] = {false};
    for (size_t k = 0; k < BEAMS; k++) {
        size_t best = SIZE_MAX;
        for (size_t i = 0; i < n * V; i++) {
            float at = b->score[i / V] + rides[i / V].output[i % V];
            if (taken[i] || (best < SIZE_MAX && at <= score[k])) continue;
            best = i;
            score[k] = at;
        }
        taken[best] = true;
        parent[k] = best / V;
        token[k] = (int32_t)(best % V);
    }
}

static enum next beam_receive(struct sequence *sequence, struct worker *worker, const struct ride *rides)
{
    struct beam *b = (struct beam *)sequence;
    size_t parent[BEAMS], n = b->n_read < b->n_prompt ? 1 : BEAMS;
    float score[BEAMS], *state[BEAMS] = {NULL}, *spare[BEAMS];
    bool used[BEAMS] = {false};
    (void)worker;
    if (n == 1) b->n_read += rides[0].n_steps;
    if (!rides[0].n_outputs) return STAY;
    choose(b, rides, n, parent, b->token, score);
    size_t n_spare = 0;
    for (size_t k = 0; k < BEAMS; k++)
        if (!used[parent[k]]) used[parent[k]] = true, state[k] = b->state[parent[k]];
    for (size_t i = 0; i < BEAMS; i++)
        if (!used[i]) spare[n_spare++] = b->state[i];
    for (size_t k = 0; k < BEAMS; k++) {
        if (state[k]) continue;
        state[k] = spare[--n_spare];
        memcpy(state[k], b->state[parent[k]], network_state_floats(decoder) * sizeof(float));
    }
    memcpy(b->state, state, sizeof state);
    memcpy(b->score, score, sizeof score);
    memcpy(b->history[b->n_done++], b->token, sizeof b->token);
    return b->n_done == BEAM_STEPS ? LEAVE : STAY;
}

static void beam_finish(struct sequence *sequence, enum status reason)
{
    ck_assert_int_eq(reason, STATUS_OK);
    atomic_fetch_add(&((struct beam *)sequence)->finished, 1);
}

static const struct driver beam_driver = {beam_feed, beam_receive, beam_finish};

static struct beam *beam_new(size_t seed)
{
    struct beam *b = memory_new(1, sizeof *b);
    b->n_prompt = 1 + seed * 11 % 50;
    for (size_t i = 0; i < b->n_prompt; i++) b->prompt[i] = (int32_t)((seed + i * i * i) % V);
    for (size_t i = 0; i < BEAMS; i++) b->state[i] = memory_new(network_state_floats(decoder), sizeof(float));
    b->sequence = (struct sequence){.driver = &beam_driver, .network = decoder, .seats = BEAMS,
                                    .cost_steps = b->n_prompt + BEAMS * BEAM_STEPS};
    return b;
}

static void beam_free(struct beam *b)
{
    for (size_t i = 0; i < BEAMS; i++) memory_free(b->state[i]);
    memory_free(b);
}

static void beam_submit(struct scheduler *s, struct beam *b)
{
    int64_t retry_us;
    ck_assert_int_eq(scheduler_submit(s, (struct sequence *const[]){&b->sequence}, 1, &retry_us), STATUS_OK);
}

/* The same beams whatever rides beside them, and the turn never has more rides than seats. */
START_TEST(the_rides_of_a_beam_are_together)
{
    enum { N = 20 };
    struct scheduler *alone = riders_scheduler(1, BEAMS, 1, 100), *crowded = riders_scheduler(2, 8, 16, 100);
    struct beam *a[N], *b[N];
    struct rider *single[N];
    for (size_t i = 0; i < N; i++) {
        single[i] = rider_new(decoder, i, 1 + i, 60);
        beam_submit(alone, a[i] = beam_new(i));
        beam_submit(crowded, b[i] = beam_new(i));
        ck_assert_int_eq(rider_submit(crowded, single[i]), STATUS_OK);
    }
    riders_settle(alone);
    riders_settle(crowded);
    struct scheduler_stats stats;
    scheduler_stats(crowded, &stats);
    ck_assert_uint_eq(stats.batch[3], stats.turns);
    for (size_t i = 0; i < N; i++) {
        ck_assert_int_eq(atomic_load(&a[i]->finished), 1);
        ck_assert_int_eq(atomic_load(&b[i]->finished), 1);
        ck_assert_int_eq(single[i]->reason, STATUS_OK);
        ck_assert_mem_eq(a[i]->history, b[i]->history, sizeof a[i]->history);
        ck_assert_mem_eq(a[i]->score, b[i]->score, sizeof a[i]->score);
        ck_assert_uint_eq(b[i]->sequence.stats.steps, b[i]->n_prompt + BEAMS * (BEAM_STEPS - 1));
        beam_free(a[i]);
        beam_free(b[i]);
        rider_free(single[i]);
    }
    scheduler_free(alone);
    scheduler_free(crowded);
}
END_TEST

/* A turn of four seats: a beam of three and a sequence beside it, never two beams. */
START_TEST(a_beam_boards_only_a_turn_that_has_seats_for_it)
{
    struct scheduler *s = riders_scheduler(1, 4, 4, 100);
    struct beam *b[6];
    for (size_t i = 0; i < 6; i++) beam_submit(s, b[i] = beam_new(i));
    riders_settle(s);
    struct scheduler_stats stats;
    scheduler_stats(s, &stats);
    ck_assert_uint_le(stats.rows, 6 * BEAMS * BEAM_STEPS + 6 * 50);
    ck_assert_uint_eq(stats.batch[2], stats.turns);
    ck_assert_uint_eq(scheduler_max_seats(s), 4);
    for (size_t i = 0; i < 6; i++) {
        ck_assert_int_eq(atomic_load(&b[i]->finished), 1);
        beam_free(b[i]);
    }
    scheduler_free(s);
}
END_TEST

Suite *seats_suite(void)
{
    Suite *suite = suite_create("seats");
    TCase *core = tcase_create("core");
    tcase_add_checked_fixture(core, setup, teardown);
    tcase_set_timeout(core, 60);
    tcase_add_test(core, a_sequence_goes_on_into_the_next_network);
    tcase_add_test(core, both_halves_count_as_one_line);
    tcase_add_test(core, a_change_of_network_allocates_nothing);
    tcase_add_test(core, the_rides_of_a_beam_are_together);
    tcase_add_test(core, a_beam_boards_only_a_turn_that_has_seats_for_it);
    suite_add_tcase(suite, core);
    return suite;
}
