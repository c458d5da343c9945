/* music: what is drawn keeps to the form of a step, a melody stays on top, voices, and the files. The model
 * is random. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "models/generation/music.h"
#include "tests/support/jobs.h"

Suite *music_suite(void);

enum { N_STEPS = 24, N_TOGETHER = 12 };

static struct model *model;

static void setup(void)
{
    struct error err = {.message = ""};
    ck_assert_msg(model_load("tests/unit/bundles/tiny-music", "tiny-music", "1", PRECISION_FLOAT32, &model,
                             &err) ==
                  STATUS_OK, "%s", err.message);
}

static void teardown(void)
{
    model_drop(model);
}

/* A job of one tune. */
struct tune_job {
    struct music *music;
    struct jobs_witness witness;
};

static struct music_request request_of(uint64_t seed)
{
    return (struct music_request){.n_steps = N_STEPS, .temperature = 2, .top_p = 1, .seed = seed};
}

static const struct state *from; /* that the next job goes on from */

static void make_job(struct tune_job *job, const struct music_request *request)
{
    struct error err = {.message = ""};
    jobs_witness_init(&job->witness);
    struct job_options options = jobs_options(&job->witness);
    options.from = from;
    options.keeps = true;
    ck_assert_msg(music_new(model, request, &options, &job->music, &err) == STATUS_OK, "%s", err.message);
}

/* The steps of a tune that was written alone. */
static const struct music_step *write_alone(struct tune_job *job, const struct music_request *request,
                                            size_t *n,
                                            bool *has_ended)
{
    struct scheduler *scheduler = jobs_scheduler(1, 4, 4);
    make_job(job, request);
    ck_assert_int_eq(jobs_run(music_job(job->music), scheduler, &job->witness), STATUS_OK);
    scheduler_free(scheduler);
    return music_steps(job->music, n, has_ended);
}

static void expect_form(const struct music_step *steps, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        ck_assert_uint_le(steps[i].n, 4);
        for (size_t k = 1; k < steps[i].n; k++) ck_assert_uint_lt(steps[i].pitches[k],
                                                                  steps[i].pitches[k - 1]);
    }
}

START_TEST(notes_fall_and_the_length_is_as_asked)
{
    struct tune_job job;
    struct music_request request = request_of((uint64_t)_i);
    size_t n, n_notes = 0;
    bool has_ended;
    const struct music_step *steps = write_alone(&job, &request, &n, &has_ended);
    ck_assert_uint_eq(n, N_STEPS);
    ck_assert(!has_ended);
    expect_form(steps, n);
    for (size_t i = 0; i < n; i++) n_notes += steps[i].n;
    ck_assert_uint_gt(n_notes, N_STEPS);
    job_free(music_job(job.music));
}
END_TEST

/* Write the first steps, keep the state, and write the others from it: *next is the second job's. */
static const struct music_step *write_rest(struct tune_job *next, struct music_request request, size_t cut,
                                           size_t *n)
{
    struct tune_job first;
    struct music_request part = request;
    struct state *state;
    bool has_ended;
    size_t n_first, n_melody = part.n_melody < cut ? part.n_melody : cut;
    part.n_steps = cut;
    part.n_melody = n_melody;
    (void)write_alone(&first, &part, &n_first, &has_ended);
    ck_assert_uint_eq(n_first, cut);
    ck_assert_int_eq(job_keep(music_job(first.music), &state), STATUS_OK);
    ck_assert_uint_eq(music_kept_seed(state), request.seed);
    job_free(music_job(first.music));
    request.n_steps -= cut;
    request.melody += n_melody;
    request.n_melody -= n_melody;
    from = state;
    const struct music_step *steps = write_alone(next, &request, n, &has_ended);
    from = NULL;
    state_drop(state);
    return steps;
}

START_TEST(a_tune_in_parts_is_that_in_one_piece)
{
    static const int16_t melody[] = {72, 74, MUSIC_REST, MUSIC_REST, 76, 74, MUSIC_REST};
    for (size_t n_melody = 0; n_melody <= 7; n_melody += 7)
        for (size_t cut = 1; cut < N_STEPS; cut++) {
            struct tune_job whole, rest;
            struct music_request request = request_of(cut);
            bool has_ended;
            size_t n, n_rest;
            if (n_melody && cut >= n_melody - 1) continue; /* nothing but a rest would be left to write */
            request.melody = melody;
            request.n_melody = n_melody;
            if (n_melody) request.n_steps = n_melody;
            const struct music_step *steps = write_alone(&whole, &request, &n, &has_ended);
            const struct music_step *ends = write_rest(&rest, request, cut, &n_rest);
            ck_assert_uint_eq(n, cut + n_rest);
            ck_assert_mem_eq(steps + cut, ends, n_rest * sizeof *steps);
            job_free(music_job(whole.music));
            job_free(music_job(rest.music));
        }
}
END_TEST

START_TEST(a_tune_that_has_ended_does_not_go_on)
{
    struct tune_job job;
    struct state *state = NULL;
    struct music *none;
    struct error err = {.message = ""};
    for (uint64_t seed = 0; !state; seed++) {
        struct music_request request = request_of(seed);
        size_t n;
        bool has_ended;
        request.n_steps = 0;
        (void)write_alone(&job, &request, &n, &has_ended);
        if (has_ended) ck_assert_int_eq(job_keep(music_job(job.music), &state), STATUS_OK);
        job_free(music_job(job.music));
    }
    const struct music_request request = request_of(1);
    const struct job_options options = {.from = state};
    ck_assert_int_eq(music_new(model, &request, &options, &none, &err), STATUS_BAD_VALUE);
    ck_assert_ptr_nonnull(strstr(err.message, "has ended"));
    memset(state->rest, 0xff, state->n_rest);
    ck_assert_int_eq(music_new(model, &request, &options, &none, &err), STATUS_BAD_VALUE);
    state->n_rest--;
    ck_assert_int_eq(music_new(model, &request, &options, &none, &err), STATUS_BAD_VALUE);
    state_drop(state);
}
END_TEST

START_TEST(a_tune_without_a_length_ends_or_is_cut)
{
    size_t n_ended = 0;
    for (uint64_t seed = 0; seed < 8; seed++) {
        struct tune_job job;
        struct music_request request = request_of(seed);
        size_t n;
        bool has_ended;
        request.n_steps = 0;
        const struct music_step *steps = write_alone(&job, &request, &n, &has_ended);
        expect_form(steps, n);
        n_ended += has_ended;
        ck_assert(has_ended ? n <= 40 : n == 40); /* the bundle's max_steps */
        job_free(music_job(job.music));
    }
    ck_assert_uint_gt(n_ended, 0);
}
END_TEST

START_TEST(a_melody_is_the_highest_voice)
{
    static const int16_t melody[] = {72, MUSIC_REST, 74, 76, 48, MUSIC_REST};
    const struct music_step prime[] = {{{67, 60, 55}, 3}, {{0}, 0}};
    struct tune_job job;
    struct music_request request = request_of(5);
    size_t n;
    bool has_ended;
    request.melody = melody;
    request.n_melody = 6;
    request.prime = prime;
    request.n_prime = 2;
    request.n_steps = 0;
    const struct music_step *steps = write_alone(&job, &request, &n, &has_ended);
    ck_assert_uint_eq(n, 8);
    expect_form(steps, n);
    ck_assert_mem_eq(steps, prime, sizeof prime);
    for (size_t i = 0; i < 6; i++) {
        if (melody[i] == MUSIC_REST) ck_assert_uint_eq(steps[2 + i].n, 0);
        else ck_assert_int_eq(steps[2 + i].pitches[0], melody[i]);
    }
    ck_assert_uint_eq(steps[6].n, 1); /* nothing lies below the lowest note */
    job_free(music_job(job.music));
}
END_TEST

START_TEST(company_changes_no_note)
{
    static struct tune_job together[N_TOGETHER];
    struct scheduler *scheduler = jobs_scheduler(2, 4, 8);
    for (size_t i = 0; i < N_TOGETHER; i++) {
        struct music_request request = request_of(i);
        make_job(&together[i], &request);
        ck_assert_int_eq(job_start(music_job(together[i].music), scheduler), STATUS_OK);
    }
    for (size_t i = 0; i < N_TOGETHER; i++) {
        struct tune_job alone;
        struct music_request request = request_of(i);
        size_t n, m;
        bool has_ended;
        jobs_wait(&together[i].witness);
        const struct music_step *a = write_alone(&alone, &request, &n, &has_ended),
                                *b = music_steps(together[i].music, &m, &has_ended);
        ck_assert_uint_eq(n, m);
        ck_assert_mem_eq(a, b, n * sizeof *a);
        job_free(music_job(alone.music));
        job_free(music_job(together[i].music));
    }
    scheduler_free(scheduler);
}
END_TEST

START_TEST(what_cannot_be_is_refused)
{
    static const int16_t strange[] = {72, 100}, rests[] = {MUSIC_REST};
    const struct music_step much = {{80, 70, 60, 50, 49}, 5}, one = {{60}, 1};
    const struct {
        struct music_request request;
        enum status status;
        const char *param;
    } rows[] = {
        {{.melody = strange, .n_melody = 2, .temperature = 1, .top_p = 1}, STATUS_BAD_VALUE, "melody"},
        {{.melody = rests, .n_melody = 1, .temperature = 1, .top_p = 1}, STATUS_BAD_VALUE, "melody"},
        {{.prime = &much, .n_prime = 1, .n_steps = 4, .temperature = 1, .top_p = 1}, STATUS_BAD_VALUE,
         "prime"},
        {{.prime = &one, .n_prime = 1, .n_steps = 1, .temperature = 1, .top_p = 1}, STATUS_BAD_VALUE, "bars"},
        {{.n_steps = MUSIC_MAX_STEPS + 1, .temperature = 1, .top_p = 1}, STATUS_TOO_LONG, "bars"},
        {{.n_steps = 4, .temperature = -1, .top_p = 1}, STATUS_BAD_VALUE, "temperature"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct music *music;
        struct error err = {.message = ""};
        struct job_options options = {.priority = 0};
        ck_assert_int_eq(music_new(model, &rows[i].request, &options, &music, &err), rows[i].status);
        ck_assert_str_eq(err.param, rows[i].param);
    }
}
END_TEST

START_TEST(vocabularies_are_notes)
{
    static const char *const good[] = {"<s>", ".", "60", "127", NULL}, *const word[] = {"<s>", ".", "60",
                                                                                        "do", NULL},
                            *const none[] = {"<s>", "60", NULL}, *const high[] = {"<s>", ".", "128", NULL};
    struct error err = {.message = ""};
    const struct {
        const char *const *words;
        const char *bos, *message;
    } rows[] = {{good, "<s>", NULL}, {word, "<s>", "token 3 of the vocabulary is 'do'"}, {none, "<s>",
                                                                                          "0 tokens '.'"},
                {high, "<s>", "is '128'"}, {good + 1, NULL, "no bos_token"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct tokenizer *tokenizer = jobs_tokenizer("words", rows[i].words, rows[i].bos, NULL);
        enum status status = music_check(tokenizer, &err);
        ck_assert_int_eq(status, rows[i].message ? STATUS_BAD_VALUE : STATUS_OK);
        if (rows[i].message) ck_assert_msg(strstr(err.message, rows[i].message) != NULL, "%s", err.message);
        tokenizer_free(tokenizer);
    }
}
END_TEST

/* ---- voices and files --------------------------------------------------------------------------- */

static const struct music_step cadence[] = {
    {{72, 67, 64, 48}, 4}, {{71, 67, 55}, 3}, {{72, 67, 64, 48}, 4}, {{0}, 0}, {{72, 48}, 2}, {{70, 66, 63,
                                                                                                48}, 4}};

START_TEST(voices_in_unison_move_least)
{
    struct tune_note notes[6 * 4];
    ck_assert_uint_eq(music_notes(cadence, 6, 4, false, notes), 20);
    const uint8_t expected[4][5] = {{72, 71, 72, 72, 70}, {67, 67, 67, 72, 66}, {64, 67, 64, 48, 63},
                                    {48, 55, 48, 48, 48}};
    for (size_t v = 0; v < 4; v++)
        for (size_t i = 0; i < 5; i++) {
            const struct tune_note *note = &notes[v * 5 + i];
            if (v == 2 && i == 3) continue; /* 72 or 48: either is as near */
            if (v == 1 && i == 3) continue;
            ck_assert_uint_eq(note->voice, v);
            ck_assert_uint_eq(note->pitch, expected[v][i]);
            ck_assert_uint_eq(note->start, i < 3 ? i : i + 1);
            ck_assert_uint_eq(note->duration, 1);
        }
    ck_assert_uint_eq(music_notes(cadence, 6, 4, true, notes), 17); /* held: G, its unison's end,
        and the bass */
}
END_TEST

/* The voices of two bars of a cadence with a held note over the bar line. */
static const struct tune_note held[] = {{70, 0, 0, 1}, {69, 0, 2, 3}, {66, 0, 5, 1}, {58, 1, 0, 5}, {59, 1,
                                                                                                     5, 1}};
static const struct tune small = {.notes = held, .n = 5, .voices = 2, .steps_per_quarter = 1, .tempo = 90,
                                  .beats = 3,
                                  .unit = 4, .fifths = -2, .ticks = 7, .title = "Two", .program = 19};

START_TEST(abc_is_what_musicians_read)
{
    char *out = malloc(abc_room(&small));
    size_t n = abc_write(&small, out);
    ck_assert_uint_eq(n, strlen(out));
    ck_assert_uint_lt(n, abc_room(&small));
    ck_assert_str_eq(out,
                     "X:1\nT:Two\nM:3/4\nL:1/4\nQ:1/4=90\n%%score [ 1 2 ]\nV:1 clef=treble\nV:2 clef=bass\n"
                          "K:Bb\nV:1\nB z A- | A2 ^F | z |]\nV:2\nB,3- | B,2 =B, | z |]\n");
    free(out);
}
END_TEST

START_TEST(midi_is_as_the_standard_says)
{
    static const uint8_t head[] = {'M', 'T', 'h', 'd', 0, 0, 0, 6, 0, 1, 0, 3, 0x01, 0xe0, 'M', 'T', 'r',
                                   'k'},
        first[] = {0, 0xc0, 19, 0, 0x90, 70, 80, 0x83, 0x60, 0x80, 70, 0, 0x83, 0x60, 0x90, 69, 80, 0x8b,
                   0x20, 0x80,
                   69, 0, 0, 0x90, 66, 80, 0x83, 0x60, 0x80, 66, 0, 0x83, 0x60, 0xff, 0x2f, 0};
    uint8_t *out = malloc(midi_room(&small));
    size_t n = midi_write(&small, out), at = 14, tracks = 0;
    ck_assert_uint_le(n, midi_room(&small));
    ck_assert_mem_eq(out, head, sizeof head);
    for (; at < n; tracks++) { /* each track says how long it is */
        ck_assert_mem_eq(out + at, "MTrk", 4);
        if (tracks == 1) ck_assert_mem_eq(out + at + 8 + 12, first, sizeof first);
        at += 8 + ((size_t)out[at + 6] << 8) + out[at + 7];
    }
    ck_assert_uint_eq(at, n);
    ck_assert_uint_eq(tracks, 3);
    free(out);
}
END_TEST

START_TEST(keys_and_metres)
{
    static const struct {
        const char *name;
        bool is_key;
        int fifths, tonic;
        enum tune_mode mode;
        const char *printed;
    } keys[] = {{"C", true, 0, 0, MODE_MAJOR, "C"}, {"G", true, 1, 7, MODE_MAJOR, "G"},
                {"Bb", true, -2, 10, MODE_MAJOR, "Bb"}, {"F#m", true, 3, 6, MODE_MINOR, "F#m"},
                {"D minor", true, -1, 2, MODE_MINOR, "Dm"}, {"Cb", true, -7, 11, MODE_MAJOR, "Cb"},
                {"Ebmin", true, -6, 3, MODE_MINOR, "Ebm"}, {"Ador", true, 1, 9, MODE_DORIAN, "Ador"},
                {"D mixolydian", true, 1, 2, MODE_MIXOLYDIAN, "Dmix"}, {"C# dorian", true, 5, 1, MODE_DORIAN,
                                                                        "C#dor"},
                {"", false, 0, 0, MODE_MAJOR, NULL}, {"H", false, 0, 0, MODE_MAJOR, NULL},
                {"G#", false, 0, 0, MODE_MAJOR, NULL}, {"Gx", false, 0, 0, MODE_MAJOR, NULL},
                {"Dbm", false, 0, 0, MODE_MAJOR, NULL}, {"Fbmix", false, 0, 0, MODE_MAJOR, NULL}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        int fifths = 0;
        enum tune_mode mode = MODE_MAJOR;
        char printed[TUNE_KEY_BYTES];
        ck_assert_msg(tune_read_key(keys[i].name, &fifths, &mode) == keys[i].is_key, "%s", keys[i].name);
        ck_assert_int_eq(fifths, keys[i].fifths);
        ck_assert_int_eq(mode, keys[i].mode);
        if (!keys[i].is_key) continue;
        ck_assert_int_eq(tune_tonic(fifths, mode), keys[i].tonic);
        ck_assert_str_eq(tune_print_key(fifths, mode, printed), keys[i].printed);
        ck_assert_int_eq(tune_tonic(tune_signature(keys[i].tonic, mode), mode), keys[i].tonic);
    }
    unsigned beats, unit;
    ck_assert(tune_read_metre("6/8", &beats, &unit) && beats == 6 && unit == 8);
    ck_assert(tune_read_metre("C|", &beats, &unit) && beats == 2 && unit == 2);
    static const char *const bad[] = {"", "3", "0/4", "33/4", "3/5", "3/4/", "99999999999/4", "3/", "-3/4"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) ck_assert_msg(!tune_read_metre(bad[i], &beats,
                                                                                         &unit), "%s",
                                                                                             bad[i]);
    const struct tune odd = {.beats = 3, .unit = 8, .steps_per_quarter = 1};
    ck_assert_uint_eq(tune_bar(&odd), 0);
    int fifths;
    enum tune_mode mode;
    tune_guess_key(&small, &fifths, &mode);
    ck_assert_int_eq(fifths, 5); /* B major has all but one of A sharp twice, A, F sharp, B */
    ck_assert_int_eq(mode, MODE_MAJOR);
}
END_TEST

Suite *music_suite(void)
{
    Suite *suite = suite_create("music");
    TCase *core = tcase_create("core");
    tcase_add_checked_fixture(core, setup, teardown);
    tcase_set_timeout(core, 60);
    tcase_add_loop_test(core, notes_fall_and_the_length_is_as_asked, 0, 6);
    tcase_add_test(core, a_tune_without_a_length_ends_or_is_cut);
    tcase_add_test(core, a_tune_in_parts_is_that_in_one_piece);
    tcase_add_test(core, a_tune_that_has_ended_does_not_go_on);
    tcase_add_test(core, a_melody_is_the_highest_voice);
    tcase_add_test(core, company_changes_no_note);
    tcase_add_test(core, what_cannot_be_is_refused);
    suite_add_tcase(suite, core);
    TCase *files = tcase_create("files");
    tcase_add_test(files, vocabularies_are_notes);
    tcase_add_test(files, voices_in_unison_move_least);
    tcase_add_test(files, abc_is_what_musicians_read);
    tcase_add_test(files, midi_is_as_the_standard_says);
    tcase_add_test(files, keys_and_metres);
    suite_add_tcase(suite, files);
    return suite;
}
