/* staff: every bar has its length whatever the model says, keys, primes, lengths, and the files. The model is
 * random. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "models/generation/staff.h"
#include "models/generation/staff_form.h"
#include "tests/support/jobs.h"

Suite *staff_suite(void);

enum { N_TOGETHER = 12, QUARTER = 12, MAX_MARKS = 4096 };

static struct model *model;

static void load(const char *path, const char *name)
{
    struct error err = {.message = ""};
    ck_assert_msg(model_load(path, name, "1", PRECISION_FLOAT32, &model, &err) == STATUS_OK, "%s",
                  err.message);
}

static void setup(void)
{
    load("tests/unit/bundles/tiny-staff", "tiny-staff");
}

/* Its bar lines are b0, b1 and b2. */
static void setup_numbered(void)
{
    load("tests/unit/bundles/tiny-bars", "tiny-bars");
}

static void teardown(void)
{
    model_drop(model);
}

/* A job of one tune. */
struct tune_job {
    struct staff *staff;
    struct jobs_witness witness;
};

static struct staff_request request_of(uint64_t seed)
{
    return (struct staff_request){.temperature = 2, .top_p = 1, .seed = seed};
}

/* In 6/8 and in this key of D. */
static struct staff_request jig_of(uint64_t seed, int fifths, enum tune_mode mode)
{
    struct staff_request request = request_of(seed);
    request.beats = 6;
    request.unit = 8;
    request.has_key = true;
    request.fifths = fifths;
    request.mode = mode;
    return request;
}

static void make_job(struct tune_job *job, const struct staff_request *request)
{
    struct error err = {.message = ""};
    jobs_witness_init(&job->witness);
    struct job_options options = jobs_options(&job->witness);
    ck_assert_msg(staff_new(model, request, &options, &job->staff, &err) == STATUS_OK, "%s", err.message);
}

/* The marks of a tune that was written alone. */
static const struct mark *write_alone(struct tune_job *job, const struct staff_request *request, size_t *n,
                                      bool *has_ended)
{
    struct scheduler *scheduler = jobs_scheduler(1, 4, 4);
    make_job(job, request);
    ck_assert_int_eq(jobs_run(staff_job(job->staff), scheduler, &job->witness), STATUS_OK);
    scheduler_free(scheduler);
    return staff_marks(job->staff, n, has_ended);
}

/* Check the bars and the signs; return how many bars there are, pickups not counted. *n_pickups counts on. */
static size_t expect_form(const struct mark *marks, size_t n, uint32_t bar, size_t *n_pickups)
{
    size_t bars = 0;
    uint32_t at = 0, pickup = 0, n_triplet = 0;
    bool is_open = false, is_first = false;
    for (size_t i = 0; i < n; i++) {
        const struct mark *mark = &marks[i];
        bool is_note = mark->kind == MARK_NOTE || mark->kind == MARK_REST;
        ck_assert_msg(is_open != (mark->kind == MARK_OPEN), "mark %zu", i);
        ck_assert(is_note == (mark->ticks > 0));
        if (mark->triplet) ck_assert(n_triplet++ % 3 == 0 || mark->ticks == marks[i - 1].ticks);
        else ck_assert_uint_eq(n_triplet % 3, 0);
        at += mark->ticks;
        ck_assert_uint_le(at, bar);
        if (is_note) continue;
        bool is_pickup = mark->kind == MARK_BAR && is_first && at < bar;
        if (mark->kind == MARK_OPEN) pickup = 0;
        else if (mark->kind == MARK_BAR && !is_pickup) ck_assert_uint_eq(at, bar);
        else if (!is_pickup) ck_assert_uint_eq(at, bar - pickup);
        else ck_assert_uint_gt(at, 0);
        if (is_pickup) pickup = at;
        *n_pickups += is_pickup;
        bars += mark->kind != MARK_OPEN && !is_pickup;
        is_open = mark->kind == MARK_OPEN || mark->kind == MARK_BAR;
        is_first = mark->kind == MARK_OPEN;
        at = 0;
    }
    ck_assert(!is_open);
    return bars;
}

static uint32_t bar_of(const struct staff *staff)
{
    struct tune tune = {.steps_per_quarter = QUARTER};
    staff_style(staff, &tune);
    return tune_bar(&tune);
}

START_TEST(every_bar_has_its_length)
{
    size_t n_pickups = 0, n_ended = 0, n_triplets = 0, n_closed = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct tune_job job;
        struct staff_request request = request_of(seed);
        size_t n;
        bool has_ended;
        const struct mark *marks = write_alone(&job, &request, &n, &has_ended);
        size_t bars = expect_form(marks, n, bar_of(job.staff), &n_pickups);
        ck_assert_uint_ge(bars, 1);
        ck_assert_uint_le(bars, 288 / bar_of(job.staff)); /* the bundle's max_steps */
        ck_assert(has_ended || bars == 288 / bar_of(job.staff));
        n_ended += has_ended;
        for (size_t i = 0; i < n; i++) n_triplets += marks[i].triplet;
        for (size_t i = 0; i < n; i++) n_closed += marks[i].kind == MARK_CLOSE;
        job_free(staff_job(job.staff));
    }
    ck_assert_uint_gt(n_pickups, 5);
    ck_assert_uint_gt(n_ended, 5);
    ck_assert_uint_lt(n_ended, 60);
    ck_assert_uint_gt(n_triplets, 5);
    ck_assert_uint_gt(n_closed, 5);
}
END_TEST

START_TEST(a_tune_has_as_many_bars_as_are_asked)
{
    size_t n_pickups = 0;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct tune_job job;
        struct staff_request request = request_of(seed);
        size_t n;
        bool has_ended;
        request.bars = 1 + seed % 9;
        const struct mark *marks = write_alone(&job, &request, &n, &has_ended);
        ck_assert_uint_eq(expect_form(marks, n, bar_of(job.staff), &n_pickups), request.bars);
        ck_assert(!has_ended);
        job_free(staff_job(job.staff));
    }
    ck_assert_uint_gt(n_pickups, 5);
}
END_TEST

/* The model's tonic is D; the tune is the same in any key of the same mode. */
START_TEST(a_key_moves_the_tune)
{
    static const struct {
        int fifths, shift;
    } keys[] = {{2, 0}, {1, 5}, {3, -5}, {0, -2}, {-4, -6}, {-1, 3}, {5, -3}}; /* D G A C Ab F B */
    struct staff_request request = jig_of(7, 2, MODE_MAJOR);
    struct tune_job job;
    size_t n, m;
    bool has_ended;
    request.bars = 8;
    const struct mark *marks = write_alone(&job, &request, &n, &has_ended);
    for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
        struct tune_job moved;
        struct tune tune = {.title = ""};
        request.fifths = keys[k].fifths;
        const struct mark *other = write_alone(&moved, &request, &m, &has_ended);
        ck_assert_uint_eq(n, m);
        for (size_t i = 0; i < n; i++) {
            ck_assert_uint_eq(other[i].kind, marks[i].kind);
            ck_assert_uint_eq(other[i].ticks, marks[i].ticks);
            if (marks[i].kind == MARK_NOTE) ck_assert_int_eq(other[i].pitch, marks[i].pitch + keys[k].shift);
        }
        staff_style(moved.staff, &tune);
        ck_assert(tune.beats == 6 && tune.unit == 8 && tune.fifths == keys[k].fifths &&
                  tune.mode == MODE_MAJOR);
        job_free(staff_job(moved.staff));
    }
    job_free(staff_job(job.staff));
}
END_TEST

START_TEST(a_drawn_mode_has_the_signature_of_its_tonic)
{
    static const int fifths[N_MODES] = {[MODE_MAJOR] = 2, [MODE_MINOR] = -1, [MODE_DORIAN] = 0};
    bool seen[N_MODES] = {false};
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct tune_job job;
        struct staff_request request = request_of(seed);
        struct tune tune = {.title = ""};
        size_t n;
        bool has_ended;
        request.bars = 1;
        write_alone(&job, &request, &n, &has_ended);
        staff_style(job.staff, &tune);
        ck_assert_int_eq(tune.fifths, fifths[tune.mode]);
        seen[tune.mode] = true;
        job_free(staff_job(job.staff));
    }
    ck_assert(seen[MODE_MAJOR] && seen[MODE_MINOR] && seen[MODE_DORIAN] && !seen[MODE_MIXOLYDIAN]);
}
END_TEST

/* A pickup, a bar whose line is left out, a triplet: in G, which lies five semitones above the model's D. */
START_TEST(a_prime_is_kept)
{
    static const struct mark prime[] = {
        {MARK_NOTE, 67, false, 6}, {MARK_BAR, 0, false, 0}, {MARK_NOTE, 71, false, 12}, {MARK_NOTE, 74,
                                                                                         false, 6},
        {MARK_REST, 0, false, 6}, {MARK_NOTE, 74, false, 4}, {MARK_NOTE, 72, false, 4}, {MARK_NOTE, 71,
                                                                                         false, 4},
        {MARK_NOTE, 69, false, 18}};
    static const uint8_t kinds[] = {MARK_OPEN, MARK_NOTE, MARK_BAR, MARK_NOTE, MARK_NOTE, MARK_REST,
                                    MARK_NOTE,
                                    MARK_NOTE, MARK_NOTE, MARK_BAR, MARK_NOTE};
    struct staff_request request = jig_of(3, 1, MODE_MAJOR);
    struct tune_job job;
    size_t n, n_pickups = 0;
    bool has_ended;
    request.prime = prime;
    request.n_prime = sizeof prime / sizeof *prime;
    request.bars = 4;
    const struct mark *marks = write_alone(&job, &request, &n, &has_ended);
    for (size_t i = 0; i < sizeof kinds; i++) ck_assert_uint_eq(marks[i].kind, kinds[i]);
    ck_assert_uint_eq(marks[1].pitch, 67);
    ck_assert_uint_eq(marks[10].pitch, 69);
    ck_assert(marks[6].triplet && marks[7].triplet && marks[8].triplet && !marks[10].triplet);
    ck_assert_uint_eq(expect_form(marks, n, 36, &n_pickups), 4);
    ck_assert_uint_ge(n_pickups, 1);
    /* bos, 6x8, major, [, n6 67 | n12 71 n6 74 z t4 74 72 71 | n18 69 */
    ck_assert_uint_eq(staff_n_read(job.staff), 4 + 2 + 1 + 2 + 2 + 1 + 4 + 1 + 2);
    job_free(staff_job(job.staff));
}
END_TEST

START_TEST(company_changes_no_note)
{
    static struct tune_job together[N_TOGETHER];
    struct scheduler *scheduler = jobs_scheduler(2, 4, 8);
    for (size_t i = 0; i < N_TOGETHER; i++) {
        struct staff_request request = request_of(i);
        make_job(&together[i], &request);
        ck_assert_int_eq(job_start(staff_job(together[i].staff), scheduler), STATUS_OK);
    }
    for (size_t i = 0; i < N_TOGETHER; i++) {
        struct tune_job alone;
        struct staff_request request = request_of(i);
        size_t n, m;
        bool has_ended;
        jobs_wait(&together[i].witness);
        const struct mark *a = write_alone(&alone, &request, &n, &has_ended),
                          *b = staff_marks(together[i].staff, &m, &has_ended);
        ck_assert_uint_eq(n, m);
        for (size_t k = 0; k < n; k++)
            ck_assert(a[k].kind == b[k].kind && a[k].pitch == b[k].pitch && a[k].ticks == b[k].ticks);
        job_free(staff_job(alone.staff));
        job_free(staff_job(together[i].staff));
    }
    scheduler_free(scheduler);
}
END_TEST

static const struct mark eighth = {MARK_NOTE, 67, false, 6}, high = {MARK_NOTE, 100, false, 6},
                         odd = {MARK_NOTE, 67, false, 7}, extreme = {MARK_NOTE, 2, false, 6},
                         over[] = {{MARK_NOTE, 67, false, 24}, {MARK_NOTE, 67, false, 24}},
                         early[] = {{MARK_NOTE, 67, false, 24}, {MARK_NOTE, 67, false, 12}, {MARK_NOTE, 67,
                                                                                             false, 6},
                                    {MARK_BAR, 0, false, 0}},
                         pair[] = {{MARK_NOTE, 67, false, 4}, {MARK_NOTE, 67, false, 4}, {MARK_NOTE, 67,
                                                                                          false, 6}},
                         line = {MARK_BAR, 0, false, 0};

START_TEST(what_cannot_be_is_refused)
{
    const struct {
        const struct mark *prime;
        size_t n_prime;
        const char *param, *message;
    } primes[] = {
        {&high, 1, "prime", "does not know the note of item 0"},
        {&extreme, 1, "prime", "does not know the note of item 0"},
        {&odd, 1, "prime", "does not know the duration of item 0"},
        {over, 2, "prime", "item 1 does not fit in its bar, of which 24 of 36 ticks are full"},
        {early, 4, "prime", "item 3 does not fit in its bar, of which 6 of 36"},
        {pair, 3, "prime", "item 2 does not fit"},
        {&line, 1, "prime", "item 0 does not fit"},
    };
    struct staff *staff;
    struct job_options options = {.priority = 0};
    for (size_t i = 0; i < sizeof primes / sizeof *primes; i++) {
        struct staff_request request = jig_of(1, 1, MODE_MAJOR);
        struct error err = {.message = ""};
        request.prime = primes[i].prime;
        request.n_prime = primes[i].n_prime;
        ck_assert_int_eq(staff_new(model, &request, &options, &staff, &err), STATUS_BAD_VALUE);
        ck_assert_str_eq(err.param, primes[i].param);
        ck_assert_msg(strstr(err.message, primes[i].message) != NULL, "%s", err.message);
    }
    const struct {
        struct staff_request request;
        enum status status;
        const char *param, *message;
    } rows[] = {
        {{.beats = 5, .unit = 4, .top_p = 1}, STATUS_BAD_VALUE, "metre", "the metre 5/4; expected 2/2, 3/4, "
         "6/8"},
        {{.has_key = true, .fifths = 1, .mode = MODE_MIXOLYDIAN, .top_p = 1}, STATUS_BAD_VALUE, "key",
         "expected major, minor, dorian"},
        {{.beats = 6, .unit = 8, .prime = &eighth, .n_prime = 1, .top_p = 1}, STATUS_BAD_VALUE, "prime",
         "without 'metre' or 'key'"},
        {{.bars = MUSIC_MAX_STEPS, .top_p = 1}, STATUS_TOO_LONG, "bars", "expected at most 16384"},
        {{.temperature = -1, .top_p = 1}, STATUS_BAD_VALUE, "temperature", "temperature"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct error err = {.message = ""};
        ck_assert_int_eq(staff_new(model, &rows[i].request, &options, &staff, &err), rows[i].status);
        ck_assert_str_eq(err.param, rows[i].param);
        ck_assert_msg(strstr(err.message, rows[i].message) != NULL, "%s", err.message);
    }
}
END_TEST

#define OTHERS "<s>", "</s>", "6x8", "major", "[", "]", "n6", "62"
#define WORDS "<s>", "</s>", "6x8", "major", "[", "|"

START_TEST(vocabularies_are_checked)
{
    static const char *const good[] = {WORDS, "]", "n6", "62", NULL};
    static const char *const once[] = {WORDS, ".", "n6", "62", NULL};
    static const char *const close[] = {WORDS, "n6", "62", NULL};
    static const char *const word[] = {WORDS, "]", "n6", "62", "do", NULL};
    static const char *const far[] = {WORDS, "]", "n6", "62", "122", NULL};
    static const char *const none[] = {WORDS, "]", "62", NULL};
    static const char *const nought[] = {WORDS, "]", "n0", "62", NULL};
    static const char *const zero[] = {WORDS, "]", "n06", "62", NULL};
    static const char *const five[] = {WORDS, "]", "n5", "62", NULL};
    static const char *const part[] = {WORDS, "]", "n6", "62", "1x16", NULL};
    static const char *const numbered[] = {OTHERS, "b0", "b1", "b2", NULL};
    static const char *const single[] = {OTHERS, "b0", NULL};
    static const char *const lineless[] = {OTHERS, NULL};
    static const char *const gap[] = {OTHERS, "b0", "b2", NULL};
    static const char *const late[] = {OTHERS, "b1", "b2", NULL};
    static const char *const both[] = {OTHERS, "b0", "b1", "|", NULL};
    static const char *const large[] = {OTHERS, "b0", "b32", NULL};
    const struct {
        const char *const *words;
        const char *bos, *eos, *message;
    } rows[] = {
        {good, "<s>", "</s>", NULL},
        {once, "<s>", "</s>", NULL},
        {close, "<s>", "</s>", "has not ']' or '.'"},
        {word, "<s>", "</s>", "token 9 of the vocabulary is 'do'"},
        {far, "<s>", "</s>", "is '122'"},
        {none, "<s>", "</s>", "has not a length"},
        {nought, "<s>", "</s>", "is 'n0'"},
        {zero, "<s>", "</s>", "is 'n06'"},
        {five, "<s>", "</s>", "divides a bar of 6/8, 6 ticks"},
        {part, "<s>", "</s>", "is '1x16'"}, /* a quarter of two ticks is a half */
        {numbered, "<s>", "</s>", NULL},
        {single, "<s>", "</s>", NULL},
        {lineless, "<s>", "</s>", "has not '|' or 'b0'"},
        {gap, "<s>", "</s>", "has 2 bar lines, and their numbers are not those from 0 to 1"},
        {late, "<s>", "</s>", "has 2 bar lines"},
        {both, "<s>", "</s>", "has 3 bar lines"},
        {large, "<s>", "</s>", "token 9 of the vocabulary is 'b32'"},
        {good, "<s>", NULL, "token 1 of the vocabulary is '</s>'"},
        {good + 1, NULL, "</s>", "has no bos_token"},
    };
    const struct music_spec spec = {.notation = MUSIC_STAFF, .voices = 1, .steps_per_quarter = 2, .tonic =
        62};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct error err = {.message = ""};
        struct tokenizer *tokenizer = jobs_tokenizer("words", rows[i].words, rows[i].bos, rows[i].eos);
        enum status status = staff_check(tokenizer, &spec, &err);
        ck_assert_msg(status == (rows[i].message ? STATUS_BAD_VALUE : STATUS_OK), "row %zu: %s", i,
                      err.message);
        if (rows[i].message) ck_assert_msg(strstr(err.message, rows[i].message) != NULL, "%s", err.message);
        tokenizer_free(tokenizer);
    }
}
END_TEST

/* Go on by the words of a text; a bar line "|" is the one of those that may come. Write their numbers. */
static size_t walk(struct staff_form *form, const struct tokenizer *tokenizer, const char *const *text,
                   unsigned numbers[])
{
    size_t n = 0;
    for (; *text; text++) {
        size_t n_allowed = 0;
        struct word word = {.kind = WORD_OTHER};
        struct mark mark;
        for (size_t i = 0; i < tokenizer_size(tokenizer); i++) {
            size_t bytes;
            struct word other = staff_word(tokenizer, (int32_t)i);
            const char *piece = tokenizer_piece(tokenizer, (int32_t)i, &bytes);
            bool is_it = **text == '|' ? other.kind == WORD_BAR
                                       : bytes == strlen(*text) && !memcmp(piece, *text, bytes);
            if (!is_it || !staff_allows(form, &other)) continue;
            word = other;
            n_allowed++;
        }
        ck_assert_msg(n_allowed == 1, "%s: %zu words", *text, n_allowed);
        if (word.kind == WORD_BAR) numbers[n++] = word.number;
        staff_add(form, &word, &mark);
    }
    return n;
}

/* Three numbers: after a pickup 0, then those of the whole bars, which begin again; a second part goes on. */
START_TEST(bar_lines_have_the_number_of_the_bars_before)
{
    static const char *const words[] = {OTHERS, "n3", "b0", "b1", "b2", NULL};
    static const char *const text[] = {
        "6x8", "major", "[", "n3", "62", "|", "n6", "62", "62", "62", "62", "62", "62", "|", "62", "62",
        "62", "62", "62", "62", "|", "62", "62", "62", "62", "62", "62", "|", "62", "62", "62", "62", "62",
        "n3", "62", "]", "[", "n6", "62", "62", "62", "62", "62", "62", "|", "62", "62", "62", "62", "62",
        "62", "]", NULL};
    static const unsigned expected[] = {0, 1, 2, 0, 2};
    struct tokenizer *tokenizer = jobs_tokenizer("words", words, "<s>", "</s>");
    struct word list[16];
    bool fillable[37];
    unsigned numbers[16];
    for (size_t i = 0; i < tokenizer_size(tokenizer); i++) list[i] = staff_word(tokenizer, (int32_t)i);
    staff_fill(list, tokenizer_size(tokenizer), fillable, 36);
    struct staff_form form = {.steps_per_quarter = 12, .n_numbers = 3, .fillable = fillable,
                              .max_ticks = 999};
    ck_assert_uint_eq(walk(&form, tokenizer, text, numbers), sizeof expected / sizeof *expected);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        ck_assert_uint_eq(numbers[i], expected[i]);
    tokenizer_free(tokenizer);
}
END_TEST

/* ---- what is played and written ---- */

/* A pickup, accidentals, a triplet, a rest, two parts of which the second is played once. */
static const struct mark small[] = {
    {MARK_OPEN, 0, false, 0}, {MARK_NOTE, 62, false, 12}, {MARK_BAR, 0, false, 0}, {MARK_NOTE, 66, false, 12},
    {MARK_NOTE, 65, false, 6}, {MARK_NOTE, 65, false, 6}, {MARK_NOTE, 69, true, 8}, {MARK_NOTE, 71, true, 8},
    {MARK_REST, 0, true, 8}, {MARK_NOTE, 74, false, 24}, {MARK_BAR, 0, false, 0}, {MARK_NOTE, 65, false, 72},
    {MARK_REPEAT, 0, false, 0}, {MARK_OPEN, 0, false, 0}, {MARK_NOTE, 61, false, 18}, {MARK_NOTE, 59, false,
                                                                                       6},
    {MARK_NOTE, 86, false, 48}, {MARK_CLOSE, 0, false, 0}};
static const struct tune style = {.voices = 1, .steps_per_quarter = 24, .tempo = 90, .beats = 3, .unit = 4,
                                  .fifths = 2, .title = "Small"};

START_TEST(repeats_are_played_twice)
{
    struct tune_note notes[2 * sizeof small / sizeof *small];
    uint32_t ticks;
    size_t n = tune_play(small, sizeof small / sizeof *small, notes, &ticks);
    ck_assert_uint_eq(n, 2 * 8 + 3);
    ck_assert_uint_eq(ticks, 2 * (12 + 72 + 72) + 72);
    static const uint8_t pitches[] = {62, 66, 65, 65, 69, 71, 74, 65, 62, 66};
    for (size_t i = 0; i < sizeof pitches; i++) ck_assert_uint_eq(notes[i].pitch, pitches[i]);
    ck_assert_uint_eq(notes[6].start, 12 + 24 + 24);
    ck_assert_uint_eq(notes[8].start, 12 + 72 + 72);
    ck_assert_uint_eq(notes[18].start + notes[18].duration, ticks);
}
END_TEST

START_TEST(a_staff_is_what_musicians_read)
{
    const size_t n_marks = sizeof small / sizeof *small;
    char *out = malloc(abc_staff_room(n_marks) + 1);
    size_t n = abc_write_staff(&style, small, n_marks, out);
    ck_assert_uint_lt(n, abc_staff_room(n_marks));
    out[n] = 0;
    ck_assert_str_eq(out, "X:1\nT:Small\nM:3/4\nL:1/8\nQ:1/4=90\nK:D\n"
                          "|: D | F=F/2F/2 (3ABz d2 | =F6 :|\nC3/2B,/2 d'4 |]\n");
    free(out);
}
END_TEST

Suite *staff_suite(void)
{
    Suite *suite = suite_create("staff");
    TCase *core = tcase_create("core");
    tcase_add_checked_fixture(core, setup, teardown);
    tcase_set_timeout(core, 60);
    tcase_add_test(core, every_bar_has_its_length);
    tcase_add_test(core, a_tune_has_as_many_bars_as_are_asked);
    tcase_add_test(core, a_key_moves_the_tune);
    tcase_add_test(core, a_drawn_mode_has_the_signature_of_its_tonic);
    tcase_add_test(core, a_prime_is_kept);
    tcase_add_test(core, company_changes_no_note);
    tcase_add_test(core, what_cannot_be_is_refused);
    suite_add_tcase(suite, core);
    TCase *numbered = tcase_create("numbered bar lines");
    tcase_add_checked_fixture(numbered, setup_numbered, teardown);
    tcase_set_timeout(numbered, 60);
    tcase_add_test(numbered, every_bar_has_its_length);
    tcase_add_test(numbered, a_tune_has_as_many_bars_as_are_asked);
    tcase_add_test(numbered, a_prime_is_kept);
    suite_add_tcase(suite, numbered);
    TCase *files = tcase_create("files");
    tcase_add_test(files, vocabularies_are_checked);
    tcase_add_test(files, bar_lines_have_the_number_of_the_bars_before);
    tcase_add_test(files, repeats_are_played_twice);
    tcase_add_test(files, a_staff_is_what_musicians_read);
    suite_add_tcase(suite, files);
    return suite;
}
