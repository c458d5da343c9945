/* drawing: likelihoods against plain loops in Python (tests/unit/bundles/make.py), what is drawn alone and in
 * company, completion, what is refused; the PNG file. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/media/image.h"
#include "models/generation/drawing.h"
#include "tests/support/jobs.h"

Suite *drawing_suite(void);

enum { PIXELS = 20, N_TOGETHER = 16 };

static struct model *model;

static void setup(void)
{
    struct error err = {.message = ""};
    ck_assert_msg(model_load("tests/unit/bundles/tiny-drawing", "tiny-drawing", "1", PRECISION_FLOAT32,
                             &model,
                             &err) == STATUS_OK, "%s", err.message);
}

static void teardown(void)
{
    model_drop(model);
}

/* With a state to go on from, and whether one is kept. */
static struct drawing *run_on(const struct drawing_request *request, const struct state *from, bool keeps,
                              size_t chunk_steps, size_t max_batch)
{
    struct drawing *drawing = NULL;
    struct jobs_witness witness;
    struct error err = {.message = ""};
    struct scheduler *scheduler = jobs_scheduler(2, chunk_steps, max_batch);
    jobs_witness_init(&witness);
    struct job_options options = jobs_options(&witness);
    options.from = from;
    options.keeps = keeps;
    ck_assert_msg(drawing_new(model, request, &options, &drawing, &err) == STATUS_OK, "%s", err.message);
    ck_assert_int_eq(jobs_run(drawing_job(drawing), scheduler, &witness), STATUS_OK);
    scheduler_free(scheduler);
    return drawing;
}

static struct drawing *run(const struct drawing_request *request, size_t chunk_steps, size_t max_batch)
{
    return run_on(request, NULL, false, chunk_steps, max_batch);
}

static void assert_equally_likely(const struct drawing *one, size_t i, const struct drawing *other, size_t k)
{
    const double a = drawing_log_probability(one, i), b = drawing_log_probability(other, k);
    ck_assert_mem_eq(&a, &b, sizeof a);
}

START_TEST(likelihoods_are_those_of_plain_loops)
{
    FILE *file = fopen("tests/unit/bundles/likelihoods.txt", "r");
    char bits[PIXELS + 1];
    size_t label, n = 0;
    double nats;
    ck_assert_ptr_nonnull(file);
    for (; fscanf(file, "%zu %lf %20s", &label, &nats, bits) == 3; n++) {
        uint8_t pixels[PIXELS];
        for (size_t i = 0; i < PIXELS; i++) pixels[i] = bits[i] == '1';
        struct drawing_request request = {.label = label, .n = 1, .given = pixels, .n_given = PIXELS,
                                          .temperature = 1};
        for (size_t chunk = 1; chunk <= 32; chunk *= 2) {
            struct drawing *drawing = run(&request, chunk, 4);
            ck_assert_mem_eq(drawing_picture(drawing, 0), pixels, PIXELS);
            ck_assert_double_le(fabs(drawing_log_probability(drawing, 0) + nats), 1e-4);
            job_free(drawing_job(drawing));
        }
    }
    fclose(file);
    ck_assert_uint_eq(n, 3);
}
END_TEST

/* Pictures of one request are each what they are alone in the likelihood, and differ from each other. */
START_TEST(company_changes_no_pixel)
{
    struct drawing_request request = {.label = 1, .n = N_TOGETHER, .temperature = 1, .seed = 4};
    struct drawing *together = run(&request, 4, 8), *narrow = run(&request, 1, 1);
    size_t n_different = 0;
    for (size_t i = 0; i < N_TOGETHER; i++) {
        const uint8_t *pixels = drawing_picture(together, i);
        ck_assert_mem_eq(pixels, drawing_picture(narrow, i), PIXELS);
        assert_equally_likely(together, i, narrow, i);
        struct drawing_request same = {.label = 1, .n = 1, .given = pixels, .n_given = PIXELS, .temperature =
                                       1};
        struct drawing *read = run(&same, 8, 1);
        assert_equally_likely(together, i, read, 0); /* reading a picture and drawing it are the same steps */
        job_free(drawing_job(read));
        n_different += memcmp(pixels, drawing_picture(together, 0), PIXELS) != 0;
    }
    ck_assert_uint_gt(n_different, N_TOGETHER / 2);
    job_free(drawing_job(together));
    job_free(drawing_job(narrow));
}
END_TEST

/* Draw the picture in two parts, cut below row `rows`; *upper is what stands after the first. */
static struct drawing *draw_in_parts(struct drawing_request request, size_t rows, struct state **state)
{
    struct drawing_request part = request;
    part.n_rows = rows;
    struct drawing *first = run_on(&part, NULL, true, 4, 4);
    ck_assert_int_eq(job_keep(drawing_job(first), state), STATUS_OK);
    job_free(drawing_job(first));
    request.given = NULL;
    request.n_given = 0;
    return run_on(&request, *state, true, 4, 4);
}

START_TEST(a_picture_in_parts_is_that_in_one_piece)
{
    static const uint8_t upper[] = {1, 0, 0, 1};
    for (size_t n_given = 0; n_given <= 4; n_given += 4)
        for (size_t rows = 1 + n_given / 4; rows < 5; rows++) {
            struct drawing_request request = {.label = 1, .n = 1, .given = upper, .n_given = n_given,
                                              .temperature = 1, .seed = rows};
            struct drawing *whole = run(&request, 4, 4);
            struct state *state, *end;
            size_t label;
            uint64_t seed;
            struct drawing *parts = draw_in_parts(request, rows, &state);
            ck_assert_mem_eq(drawing_picture(parts, 0), drawing_picture(whole, 0), PIXELS);
            assert_equally_likely(parts, 0, whole, 0);
            drawing_kept(state, &label, &seed);
            ck_assert_uint_eq(label, 1);
            ck_assert_uint_eq(seed, rows);
            request.n = 3; /* several ends: the first is the same one */
            request.given = NULL;
            request.n_given = 0;
            struct drawing *fork = run_on(&request, state, false, 2, 4);
            ck_assert_mem_eq(drawing_picture(fork, 0), drawing_picture(whole, 0), PIXELS);
            ck_assert_mem_eq(drawing_picture(fork, 2), drawing_picture(whole, 0), 4 * rows);
            ck_assert_int_eq(job_keep(drawing_job(parts), &end), STATUS_OK);
            struct error err = {.message = ""};
            struct drawing *none;
            struct job_options options = {.from = end};
            request.n = 1;
            ck_assert_int_eq(drawing_new(model, &request, &options, &none, &err), STATUS_BAD_VALUE);
            ck_assert_str_eq(err.param, "rows"); /* it is whole */
            request.label = 0;
            options.from = state;
            ck_assert_int_eq(drawing_new(model, &request, &options, &none, &err), STATUS_BAD_VALUE);
            ck_assert_str_eq(err.param, "prompt");
            request.label = 1;
            state->rest[state->n_rest - 1] = 2;
            ck_assert_int_eq(drawing_new(model, &request, &options, &none, &err), STATUS_BAD_VALUE);
            state_drop(state);
            state_drop(end);
            job_free(drawing_job(whole));
            job_free(drawing_job(parts));
            job_free(drawing_job(fork));
        }
}
END_TEST

START_TEST(an_upper_part_is_completed)
{
    static const uint8_t upper[] = {1, 0, 0, 1, 0, 1, 1, 0};
    struct drawing_request request = {.label = 2, .n = 3, .given = upper, .n_given = 8, .temperature = 0};
    struct drawing *drawing = run(&request, 4, 4);
    const uint8_t *pixels = drawing_picture(drawing, 0);
    for (size_t i = 0; i < 3; i++) { /* without chance all are alike */
        ck_assert_mem_eq(drawing_picture(drawing, i), pixels, PIXELS);
        ck_assert_mem_eq(pixels, upper, sizeof upper);
        assert_equally_likely(drawing, i, drawing, 0);
    }
    job_free(drawing_job(drawing));
}
END_TEST

START_TEST(no_step_allocates)
{
    struct drawing *drawing;
    struct error err;
    struct jobs_witness witness;
    struct scheduler *scheduler = jobs_scheduler(1, 4, 8);
    struct drawing_request request = {.n = 8, .temperature = 1};
    jobs_witness_init(&witness);
    struct job_options options = jobs_options(&witness);
    ck_assert_int_eq(drawing_new(model, &request, &options, &drawing, &err), STATUS_OK);
    uint64_t before = memory_allocations();
    ck_assert_int_eq(jobs_run(drawing_job(drawing), scheduler, &witness), STATUS_OK);
    ck_assert_uint_le(memory_allocations() - before, 40); /* lines, flows, lanes and workspaces, once each */
    job_free(drawing_job(drawing));
    scheduler_free(scheduler);
}
END_TEST

START_TEST(what_cannot_be_is_refused)
{
    const struct {
        struct drawing_request request;
        const char *param;
    } rows[] = {
        {{.label = 3, .n = 1, .temperature = 1}, "prompt"},
        {{.n = 0, .temperature = 1}, "n"},
        {{.n = DRAWING_MAX_PICTURES + 1, .temperature = 1}, "n"},
        {{.n = 1, .temperature = NAN}, "temperature"},
        {{.n = 1, .temperature = 1, .n_given = PIXELS + 1}, "complete"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct drawing *drawing;
        struct error err = {.message = ""};
        struct job_options options = {.priority = 0};
        ck_assert_int_eq(drawing_new(model, &rows[i].request, &options, &drawing, &err), STATUS_BAD_VALUE);
        ck_assert_str_eq(err.param, rows[i].param);
    }
}
END_TEST

/* A file is a PNG and holds the pixels: small, and of more than one block of the compressor. */
START_TEST(png_files)
{
    static const size_t sides[][2] = {{1, 1}, {4, 3}, {300, 300}, {1024, 7}};
    size_t width = sides[_i][0], height = sides[_i][1], n;
    uint8_t *grey = malloc(width * height);
    for (size_t at = 0; at < width * height; at++) grey[at] = (uint8_t)(at * 2654435761u >> 13);
    uint8_t *file = image_write_png(grey, width, height, &n);
    ck_assert_ptr_nonnull(file);
    ck_assert_str_eq(image_media_type(file, n), "image/png");
    struct image image = {0};
    struct error err;
    ck_assert_int_eq(image_decode(file, n, width * height, &image, &err), STATUS_OK);
    ck_assert_uint_eq(image.width, width);
    ck_assert_uint_eq(image.height, height);
    for (size_t at = 0; at < width * height; at++) {
        const uint8_t expected[] = {grey[at], grey[at], grey[at], 255};
        ck_assert_mem_eq(image.pixels + IMAGE_CHANNELS * at, expected, sizeof expected);
    }
    image_free(&image);
    memory_free(file);
    free(grey);
}
END_TEST

Suite *drawing_suite(void)
{
    Suite *suite = suite_create("drawing");
    TCase *core = tcase_create("core");
    tcase_add_checked_fixture(core, setup, teardown);
    tcase_set_timeout(core, 60);
    tcase_add_test(core, likelihoods_are_those_of_plain_loops);
    tcase_add_test(core, company_changes_no_pixel);
    tcase_add_test(core, a_picture_in_parts_is_that_in_one_piece);
    tcase_add_test(core, an_upper_part_is_completed);
    tcase_add_test(core, no_step_allocates);
    tcase_add_test(core, what_cannot_be_is_refused);
    suite_add_tcase(suite, core);
    TCase *files = tcase_create("files");
    tcase_add_loop_test(files, png_files, 0, 4);
    suite_add_tcase(suite, files);
    return suite;
}
