/* transcription: the front ends, CTC against a naive decoder, and what a bundle may not say. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/bundle/bundle.h"
#include "models/features/feature.h"
#include "models/tasks/ctc_language.h"
#include "models/tasks/heard.h"
#include "models/tasks/transcription.h"
#include "models/text/json.h"
#include "tests/support/jobs.h"
#include "tests/support/tmp.h"
#include "tests/support/written.h"

Suite *transcription_suite(void);

/* ---- decoding ---- */

enum { LINE = 1 << 16, SOUNDS = 1 << 18 };

static void read_row(char *line, float *row, size_t n)
{
    char *at = line;
    for (size_t i = 0; i < n; i++) row[i] = strtof(at, &at);
}

/* One case of ctc.txt: what is found is what the naive decoder found. */
static void check_case(FILE *file, char *line)
{
    size_t T, V, blank, beams, n_best;
    ck_assert_int_eq(sscanf(line, "%zu %zu %zu %zu %zu", &T, &V, &blank, &beams, &n_best), 5);
    float *rows = memory_new(T * V, sizeof *rows);
    for (size_t t = 0; t < T; t++) {
        ck_assert_ptr_nonnull(fgets(line, LINE, file));
        read_row(line, rows + t * V, V);
    }
    const struct ctc_outputs outputs = {.rows = rows, .T = T, .V = V, .blank = blank};
    struct ctc_texts texts;
    const struct ctc_options options = {.num_beams = beams, .n_best = n_best};
    ck_assert_int_eq(ctc_decode(&outputs, &options, &texts), STATUS_OK);
    ck_assert_uint_eq(texts.n, n_best);
    for (size_t i = 0; i < n_best; i++) {
        const struct ctc_text *text = &texts.texts[i];
        ck_assert_ptr_nonnull(fgets(line, LINE, file));
        char *at = line;
        ck_assert_double_eq_tol(text->score, strtod(at, &at), 1e-6);
        for (size_t k = 0; k < text->n; k++) {
            ck_assert_int_eq(strtol(at, &at, 10), text->labels[k]);
            ck_assert_uint_le(text->first[k], text->last[k]);
            ck_assert(k == 0 || text->first[k] > text->last[k - 1]);
            ck_assert_uint_lt(text->last[k], T);
        }
        ck_assert_str_eq(at, "\n");
    }
    ctc_free(&texts);
    memory_free(rows);
}

START_TEST(texts_are_those_of_a_naive_decoder)
{
    FILE *file = fopen("tests/unit/bundles/ctc.txt", "r");
    char *line = malloc(LINE);
    size_t n = 0;
    ck_assert(file && line);
    while (fgets(line, LINE, file)) {
        if (*line == '\n') continue;
        check_case(file, line);
        n++;
    }
    ck_assert_uint_eq(n, 9);
    free(line);
    fclose(file);
}
END_TEST

/* ---- decoding with a language model ---- */

static struct model *load_from(const char *folder, const char *name)
{
    struct model *model = NULL;
    struct error err = {0};
    char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    enum status status = model_load(path, name, "1", PRECISION_FLOAT32, &model, &err);
    ck_assert_msg(status == STATUS_OK, "%s", err.message);
    return model;
}

/* Search with the model, in turns of the scheduler. */
static void search_with(struct model *language, struct scheduler *scheduler,
                        const struct ctc_outputs *outputs, const struct ctc_options *options,
                        const char *labels, struct ctc_texts *texts)
{
    struct jobs_witness witness;
    struct ctc_language *search;
    struct error err = {.message = ""};
    char letters[64][2] = {{0}}, *names[64];
    int32_t tokens[64];
    for (size_t k = 0; k < outputs->V; k++) {
        letters[k][0] = labels[k];
        names[k] = letters[k];
    }
    (void)ctc_language_tokens(language, names, outputs->V, outputs->blank, tokens);
    jobs_witness_init(&witness);
    const struct job_options job = jobs_options(&witness);
    const struct ctc_language_request request = {outputs, options, tokens, 64};
    ck_assert_msg(ctc_language_new(language, &request, &job, &search, &err) == STATUS_OK, "%s", err.message);
    ck_assert_int_eq(jobs_run(ctc_language_job(search), scheduler, &witness), STATUS_OK);
    ck_assert_int_eq(ctc_language_texts(search, texts), STATUS_OK);
    ctc_language_free(search);
}

/* One case of ctc_language.txt. */
static void check_language_case(struct model *language, struct scheduler *scheduler, FILE *file, char *line)
{
    struct ctc_outputs outputs = {.rows = NULL};
    struct ctc_options options = {.has_language = true};
    struct ctc_texts texts;
    int at = 0;
    ck_assert_int_eq(sscanf(line, "%zu %zu %zu %zu %zu %lf %lf %n", &outputs.T, &outputs.V, &outputs.blank,
                            &options.num_beams, &options.n_best, &options.weight, &options.bonus, &at), 7);
    char *labels = strndup(line + at, outputs.V);
    float *rows = memory_new(outputs.T * outputs.V, sizeof *rows);
    for (size_t t = 0; t < outputs.T; t++) {
        ck_assert_ptr_nonnull(fgets(line, LINE, file));
        read_row(line, rows + t * outputs.V, outputs.V);
    }
    outputs.rows = rows;
    search_with(language, scheduler, &outputs, &options, labels, &texts);
    ck_assert_uint_eq(texts.n, options.n_best);
    for (size_t i = 0; i < texts.n; i++) {
        ck_assert_ptr_nonnull(fgets(line, LINE, file));
        char *next = line;
        ck_assert_double_eq_tol(texts.texts[i].score, strtod(next, &next), 1e-4);
        for (size_t k = 0; k < texts.texts[i].n; k++)
            ck_assert_int_eq(strtol(next, &next, 10), texts.texts[i].labels[k]);
        ck_assert_str_eq(next, "\n");
    }
    ctc_free(&texts);
    memory_free(rows);
    free(labels);
}

START_TEST(a_language_model_weighs_as_a_naive_decoder_does)
{
    FILE *file = fopen("tests/unit/bundles/ctc_language.txt", "r");
    char *line = malloc(LINE);
    size_t n = 0;
    struct model *language = load_from("tests/http/bundles", "tiny-characters");
    struct scheduler *scheduler = jobs_scheduler(1, 8, 64);
    ck_assert(file && line);
    while (fgets(line, LINE, file)) {
        if (*line == '\n') continue;
        check_language_case(language, scheduler, file, line);
        n++;
    }
    ck_assert_uint_eq(n, 5);
    scheduler_free(scheduler);
    model_drop(language);
    free(line);
    fclose(file);
}
END_TEST

/* The path blank a a blank a b: times are those of the likeliest path, also of a search. */
START_TEST(letters_have_their_steps)
{
    static const int path[] = {0, 1, 1, 0, 1, 2};
    float rows[6][3] = {{0}};
    struct ctc_texts texts;
    for (size_t t = 0; t < 6; t++) rows[t][path[t]] = 9;
    const struct ctc_outputs outputs = {.rows = rows[0], .T = 6, .V = 3, .blank = 0};
    for (size_t beams = 1; beams <= 4; beams += 3) {
        const struct ctc_options options = {.num_beams = beams, .n_best = 1};
        ck_assert_int_eq(ctc_decode(&outputs, &options, &texts), STATUS_OK);
        const struct ctc_text *text = &texts.texts[0];
        ck_assert_uint_eq(text->n, 3);
        ck_assert(text->labels[0] == 1 && text->labels[1] == 1 && text->labels[2] == 2);
        ck_assert(text->first[0] == 1 && text->last[0] == 2);
        ck_assert(text->first[1] == 4 && text->last[1] == 4);
        ck_assert(text->first[2] == 5 && text->last[2] == 5);
        ctc_free(&texts);
    }
}
END_TEST

/* ---- front ends ---- */

/* The numbers of log_mel.json are librosa's. */
static void check_sound(const struct json *given)
{
    struct front *front = NULL;
    struct raw_owned raw;
    struct front_steps steps;
    struct error err = {.message = ""};
    ck_assert_msg(front_new(json_get(given, "features"), &front, &err) == STATUS_OK, "%s", err.message);
    ck_assert_int_eq(raw_read(front, json_get(given, "input"), &raw, &err), STATUS_OK);
    ck_assert_int_eq(front_run(front, &raw.raw, 1000, &steps, &err), STATUS_OK);
    const double *ours = steps.values;
    ck_assert_uint_eq(steps.n, json_count(json_get(given, "steps")));
    for (const struct json *row = json_first(json_get(given, "steps")); row; row = json_next(row)) {
        ck_assert_uint_eq(json_count(row), front_width(front));
        for (const struct json *x = json_first(row); x; x = json_next(x))
            ck_assert_double_eq_tol(*ours++, json_number(x), 1e-4);
    }
    front_steps_free(&steps);
    raw_free(&raw);
    front_free(front);
}

START_TEST(a_sound_has_the_numbers_of_librosa)
{
    struct error err = {.message = ""};
    struct json *cases = NULL;
    FILE *file = fopen("tests/unit/bundles/log_mel.json", "r");
    char *text = malloc(SOUNDS);
    ck_assert(file && text);
    size_t n = fread(text, 1, SOUNDS, file);
    ck_assert_uint_lt(n, SOUNDS);
    ck_assert_msg(json_parse(text, n, &cases, &err) == STATUS_OK, "%s", err.message);
    ck_assert_uint_eq(json_count(cases), 3);
    for (const struct json *one = json_first(cases); one; one = json_next(one)) check_sound(one);
    json_free(cases);
    free(text);
    fclose(file);
}
END_TEST


static struct model *load(const char *name)
{
    return load_from("tests/unit/bundles", name);
}

/* Their golden vectors hold what plain Python made of samples and strokes. */
START_TEST(bundles_prove_their_front_ends)
{
    struct model *speech = load("tiny-speech"), *ink = load("tiny-ink");
    ck_assert_int_eq(front_media(speech->front), MEDIA_SOUND);
    ck_assert_double_eq(front_rate(speech->front), 8000);
    ck_assert_uint_eq(front_width(speech->front), 12);
    ck_assert_int_eq(front_media(ink->front), MEDIA_INK);
    ck_assert_double_eq(front_rate(ink->front), 0);
    ck_assert_uint_eq(front_width(ink->front), 10);
    ck_assert_str_eq(transcription_spec_of(speech)->language, "en");
    model_drop(speech);
    model_drop(ink);
}
END_TEST

START_TEST(steps_know_where_they_come_from)
{
    struct model *speech = load("tiny-speech"), *ink = load("tiny-ink");
    struct front_steps steps;
    struct error err;
    static const double silence[1000];
    const struct raw sound = {.media = MEDIA_SOUND, .values = silence, .n = 1000};
    ck_assert_int_eq(front_run(speech->front, &sound, 100, &steps, &err), STATUS_OK);
    ck_assert_uint_eq(steps.n, 11);
    ck_assert(steps.origin[0] == 0 && steps.origin[1] == 80 && steps.origin[11] == 880);
    front_steps_free(&steps);
    ck_assert_int_eq(front_run(speech->front, &sound, 10, &steps, &err), STATUS_TOO_LONG);
    static const double path[] = {0, 0, 0, 100, 7, 7};
    static const size_t ends[] = {2, 3};
    const struct raw strokes = {.media = MEDIA_INK, .values = path, .n = 3, .ends = ends, .n_ends = 2};
    ck_assert_int_eq(front_run(ink->front, &strokes, 100, &steps, &err), STATUS_OK);
    ck_assert(steps.origin[0] == 0 && steps.origin[steps.n] == 3);
    ck_assert_double_eq(steps.values[2], 1);
    front_steps_free(&steps);
    ck_assert_int_eq(front_run(ink->front, &strokes, 3, &steps, &err), STATUS_TOO_LONG);
    model_drop(speech);
    model_drop(ink);
}
END_TEST

/* With top_db the same sound, louder, makes the same steps: 0 at the loudest, and nothing 20 dB below it. */
START_TEST(loudness_takes_no_part)
{
    static const char keys[] = "{\"type\": \"log_mel\", \"sampling_rate\": 8000, \"n_fft\": 64, "
                               "\"hop_length\": 32, \"n_mels\": 4, \"log_offset\": 1e-12, \"top_db\": 20, "
                               "\"remove_mean\": false}";
    double quiet[400], loud[400], loudest = -INFINITY, least = INFINITY;
    for (int i = 0; i < 400; i++) quiet[i] = 0.02 * sin(0.0006 * i * i), loud[i] = 30 * quiet[i];
    struct json *json;
    struct front *front = NULL;
    struct error err = {0};
    ck_assert_int_eq(json_parse(keys, strlen(keys), &json, &err), STATUS_OK);
    ck_assert_int_eq(front_new(json, &front, &err), STATUS_OK);
    struct front_steps a, b;
    ck_assert_int_eq(front_run(front, &(struct raw){.media = MEDIA_SOUND, .values = quiet, .n = 400}, 99, &a,
                               &err), STATUS_OK);
    ck_assert_int_eq(front_run(front, &(struct raw){.media = MEDIA_SOUND, .values = loud, .n = 400}, 99, &b,
                               &err), STATUS_OK);
    for (size_t i = 0; i < a.n * 4; i++) {
        ck_assert_double_eq_tol(a.values[i], b.values[i], 1e-6);
        loudest = fmax(loudest, a.values[i]), least = fmin(least, a.values[i]);
    }
    ck_assert_double_eq(loudest, 0);
    ck_assert_double_eq_tol(least, -20 * log(10) / 10, 1e-12);
    front_steps_free(&a);
    front_steps_free(&b);
    front_free(front);
    json_free(json);
}
END_TEST

static struct front *make_front(const char *keys)
{
    struct json *json;
    struct front *front = NULL;
    struct error err = {.message = ""};
    ck_assert_int_eq(json_parse(keys, strlen(keys), &json, &err), STATUS_OK);
    ck_assert_msg(front_new(json, &front, &err) == STATUS_OK, "%s", err.message);
    json_free(json);
    return front;
}

static struct front_steps run_sound(const struct front *front, const double *samples, size_t n)
{
    struct front_steps steps;
    struct error err = {.message = ""};
    const struct raw raw = {.media = MEDIA_SOUND, .values = samples, .n = n};
    ck_assert_msg(front_run(front, &raw, 999, &steps, &err) == STATUS_OK, "%s", err.message);
    return steps;
}

#define SOUND "{\"type\": \"log_mel\", \"sampling_rate\": 8000, \"n_mels\": 3, \"remove_mean\": false, "

/* Cut anywhere, a sound gives the steps that it gives whole. Windows overlap, meet, or have gaps between. */
START_TEST(pieces_of_a_sound_make_its_steps)
{
    static const char *const fronts[] = {
        SOUND "\"n_fft\": 64, \"hop_length\": 32, \"stack\": 2}",
        SOUND "\"n_fft\": 64, \"hop_length\": 24, \"stack\": 2, \"silence_after\": 150}",
        SOUND "\"n_fft\": 32, \"hop_length\": 32, \"silence_after\": 1}",
        SOUND "\"n_fft\": 16, \"hop_length\": 40}",
        SOUND "\"n_fft\": 16, \"hop_length\": 40, \"stack\": 2, \"silence_after\": 100}",
    };
    enum { N = 300 };
    double sound[N];
    for (int i = 0; i < N; i++) sound[i] = 0.3 * sin(0.0006 * i * i) + 0.01 * (i % 7);
    struct front *front = make_front(fronts[_i]);
    struct front_steps whole = run_sound(front, sound, N);
    for (size_t cut = 1; cut < N; cut++) {
        struct front_steps a = run_sound(front, sound, cut);
        struct front_steps b = run_sound(front, sound + a.keep_from, N - a.keep_from);
        const size_t closed = a.n - a.n_open, n_closed = closed * front_width(front);
        ck_assert_uint_eq(closed + b.n, whole.n);
        for (size_t i = 0; i < whole.n * front_width(front); i++) {
            double found = i < n_closed ? a.values[i] : b.values[i - n_closed];
            ck_assert_double_eq_tol(found, whole.values[i], 1e-12);
        }
        for (size_t t = closed; t <= whole.n; t++)
            ck_assert_uint_eq(a.keep_from + b.origin[t - closed], whole.origin[t]);
        front_steps_free(&a);
        front_steps_free(&b);
    }
    front_steps_free(&whole);
    front_free(front);
}
END_TEST

/* The silence behind a sound is zeros, which a client need not send; no time lies in it. */
START_TEST(silence_follows_a_sound)
{
    enum { N = 100, AFTER = 90 };
    double sound[N + AFTER] = {0};
    for (int i = 0; i < N; i++) sound[i] = 0.3 * sin(0.0006 * i * i);
    struct front *plain = make_front(SOUND "\"n_fft\": 32, \"hop_length\": 16}");
    struct front *after = make_front(SOUND "\"n_fft\": 32, \"hop_length\": 16, \"silence_after\": 90}");
    struct front_steps a = run_sound(plain, sound, N + AFTER), b = run_sound(after, sound, N);
    ck_assert_uint_eq(a.n, 10);
    ck_assert_uint_eq(b.n, 10);
    ck_assert_uint_eq(b.n_open, 5); /* the first five windows end at 32, 48, 64, 80, 96 */
    for (size_t i = 0; i < b.n * 3; i++) ck_assert_double_eq(a.values[i], b.values[i]);
    for (size_t t = 0; t <= b.n; t++) ck_assert_uint_eq(b.origin[t], t * 16 < N ? t * 16 : N);
    front_steps_free(&a);
    front_steps_free(&b);
    front_free(plain);
    front_free(after);
}
END_TEST

/* No number that a client may send is undefined behaviour or endless. */
START_TEST(strange_ink_is_refused_or_read)
{
    static const double values[] = {0, 1e-320, 1, -1, 1e308, -1e308, 1e-9, 1e15};
    struct model *ink = load("tiny-ink");
    struct front_steps steps;
    struct error err;
    for (size_t i = 0; i < 8 * 8 * 8 * 8; i++) {
        const double path[] = {values[i % 8], values[i / 8 % 8], values[i / 64 % 8], values[i / 512]};
        const size_t ends[] = {2};
        const struct raw raw = {.media = MEDIA_INK, .values = path, .n = 2, .ends = ends, .n_ends = 1};
        if (front_run(ink->front, &raw, 500, &steps, &err) == STATUS_OK) front_steps_free(&steps);
    }
    model_drop(ink);
}
END_TEST

START_TEST(front_ends_are_checked)
{
    static const struct {
        const char *keys, *sentence;
    } rows[] = {
        {"{}", "'type' is missing"},
        {"{\"type\": \"mfcc\"}", "'type' is 'mfcc', expected one of 'log_mel', 'ink'"},
        {"{\"type\": \"ink\", \"low\": 0.9, \"high\": 0.2}", "'low' is 0.9 and 'high' 0.2"},
        {"{\"type\": \"ink\", \"spacing\": 0.01}", "'spacing' is 0.01"},
        {"{\"type\": \"ink\", \"hop_length\": 3}", "'hop_length'"},
        {"{\"type\": \"log_mel\", \"sampling_rate\": 8000, \"n_fft\": 200, "
         "\"hop_length\": 80, \"n_mels\": 3}",
         "'n_fft' is 200, expected a power of two"},
        {"{\"type\": \"log_mel\", \"sampling_rate\": 8000, \"n_fft\": 256, \"win_length\": 400, "
         "\"hop_length\": 80, \"n_mels\": 32}", "'win_length' is 400"},
        {"{\"type\": \"log_mel\", \"sampling_rate\": 8000, \"n_fft\": 256, \"fmax\": 5000, "
         "\"hop_length\": 80, \"n_mels\": 32}", "'fmax' 5000"},
        {"{\"type\": \"log_mel\", \"sampling_rate\": 8000, \"n_fft\": 256, \"top_db\": 0, "
         "\"hop_length\": 80, \"n_mels\": 32}", "'top_db' is 0"},
        {"{\"type\": \"log_mel\", \"sampling_rate\": 8000}", "'n_fft' is missing"},
    };
    struct json *json;
    struct front *front = NULL;
    struct error err = {0};
    ck_assert_int_eq(json_parse(rows[_i].keys, strlen(rows[_i].keys), &json, &err), STATUS_OK);
    ck_assert_int_eq(front_new(json, &front, &err), STATUS_BAD_VALUE);
    ck_assert_msg(strstr(err.message, rows[_i].sentence) != NULL, "%s", err.message);
    json_free(json);
}
END_TEST

/* ---- bundles ---- */

START_TEST(bundles_that_do_not_fit_are_refused)
{
    static const struct {
        const char *old, *new, *sentence;
    } rows[] = {
        {"\"blank\": 0", "\"blank\": 3", "'blank' is 3, expected the index of one of 3 labels"},
        {"\"language\": \"en\"", "\"language\": \"a very long language\"", "'language' has 20 bytes"},
        {"\"num_beams\": 4", "\"num_beams\": 65", "'num_beams'"},
        {"\"labels\": [\"<blank>\", \"a\", \"b\"]", "\"labels\": [\"<blank>\", \"a\"]",
         "the network gives 3 numbers, 'labels' has 2"},
        {"\"stack\": 1", "\"stack\": 2", "the front end 'ink' gives 10 numbers a step, the network reads 5"},
    };
    struct tmp tmp;
    struct model *model = NULL;
    struct error err = {0};
    tmp_make(&tmp);
    written_bundle(&tmp, "m", TASK_TRANSCRIPTION);
    written_edit(&tmp, "m", "config.json", rows[_i].old, rows[_i].new);
    ck_assert_int_ne(written_load(&tmp, PRECISION_FLOAT32, &model, &err), STATUS_OK);
    ck_assert_msg(strstr(err.message, rows[_i].sentence) != NULL, "%s", err.message);
    tmp_remove(&tmp);
}
END_TEST

/* A state of any bytes is refused or read, and what was read can be gone on from. */
START_TEST(no_bytes_of_a_state_are_believed)
{
    struct error err = {.message = ""};
    struct model *model;
    const double values[] = {1, 2, 30, 40};
    const size_t ends[] = {2};
    const struct raw piece = {.media = MEDIA_INK, .values = values, .n = 2, .ends = ends, .n_ends = 1};
    ck_assert_int_eq(model_load("tests/unit/bundles/tiny-ink-live", "tiny-ink-live", "1", PRECISION_FLOAT32,
                                &model, &err), STATUS_OK);
    size_t n_good = 0;
    for (size_t n = 0; n < 160; n++)
        for (unsigned seed = 0; seed < 40; seed++) {
            struct state *state;
            struct heard heard;
            unsigned bits = seed * 2654435761u + (unsigned)n;
            ck_assert_int_eq(state_new(0, 0, n, &state), STATUS_OK);
            for (size_t i = 0; i < n; i++) {
                bits = bits * 1664525 + 1013904223;
                bool counts = i % 8 == 0 && bits >> 30;
                state->rest[i] = seed == 39 ? 0xff : counts ? (unsigned char)(bits >> 28 & 3) : 0;
            }
            enum status status = heard_open(&heard, model, state, true, &err);
            ck_assert(status == STATUS_OK || status == STATUS_BAD_VALUE || status == STATUS_NO_MEMORY);
            if (status == STATUS_OK) {
                n_good++;
                status = heard_add(&heard, &piece, 100, &err);
                ck_assert(status == STATUS_OK || status == STATUS_BAD_VALUE);
            }
            heard_free(&heard);
            state_drop(state);
        }
    ck_assert_uint_gt(n_good, 0);
    model_drop(model);
}
END_TEST

Suite *transcription_suite(void)
{
    Suite *suite = suite_create("transcription");
    TCase *core = tcase_create("core");
    tcase_set_timeout(core, 120);
    tcase_add_test(core, texts_are_those_of_a_naive_decoder);
    tcase_add_test(core, a_language_model_weighs_as_a_naive_decoder_does);
    tcase_add_test(core, letters_have_their_steps);
    tcase_add_test(core, bundles_prove_their_front_ends);
    tcase_add_test(core, a_sound_has_the_numbers_of_librosa);
    tcase_add_test(core, steps_know_where_they_come_from);
    tcase_add_test(core, loudness_takes_no_part);
    tcase_add_loop_test(core, pieces_of_a_sound_make_its_steps, 0, 5);
    tcase_add_test(core, silence_follows_a_sound);
    tcase_add_test(core, strange_ink_is_refused_or_read);
    tcase_add_loop_test(core, front_ends_are_checked, 0, 10);
    tcase_add_loop_test(core, bundles_that_do_not_fit_are_refused, 0, 5);
    suite_add_tcase(suite, core);
    TCase *pieces = tcase_create("pieces");
    tcase_add_test(pieces, no_bytes_of_a_state_are_believed);
    suite_add_tcase(suite, pieces);
    return suite;
}
