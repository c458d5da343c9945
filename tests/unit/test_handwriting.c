/* handwriting: what is drawn of a mixture, alone and in company; where a text ends; lines on a page; the
 * files. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/generation/handwriting_page.h"
#include "models/generation/handwriting_style.h"
#include "models/jobs/random.h"
#include "models/media/strokes.h"
#include "tests/support/jobs.h"

Suite *handwriting_suite(void);

enum { N_DRAWN = 40000 };

static struct model *model;

static void setup(void)
{
    struct error err = {.message = ""};
    ck_assert_msg(model_load("tests/unit/bundles/tiny-handwriting", "tiny-handwriting", "1",
                             PRECISION_FLOAT32, &model, &err) == STATUS_OK, "%s", err.message);
}

static void teardown(void)
{
    model_drop(model);
}

/* ---- the mixture -------------------------------------------------------------------------------- */

struct moments {
    double x, y, xx, yy, xy, ends;
};

static struct moments draw_many(const float *output, size_t M, double bias)
{
    struct random random;
    struct moments m = {0};
    random_init(&random, 5, 0);
    for (int i = 0; i < N_DRAWN; i++) {
        double x, y;
        bool ends;
        handwriting_draw(output, M, bias, &random, &x, &y, &ends);
        m.x += x / N_DRAWN;
        m.y += y / N_DRAWN;
        m.xx += x * x / N_DRAWN;
        m.yy += y * y / N_DRAWN;
        m.xy += x * y / N_DRAWN;
        m.ends += ends / (double)N_DRAWN;
    }
    m.xx -= m.x * m.x;
    m.yy -= m.y * m.y;
    m.xy -= m.x * m.y;
    return m;
}

/* One normal of known moments; a bias of 1 divides deviations by e, and does not touch the rest. */
START_TEST(a_normal_has_its_moments)
{
    const float output[] = {-1.0986123f, 0, 3, -2, 0.6931472f, -0.6931472f, 0.5493061f};
    for (int bias = 0; bias < 2; bias++) {
        const double shrink = exp(-2.0 * bias);
        const struct moments m = draw_many(output, 1, bias);
        ck_assert_double_eq_tol(m.x, 3, 0.05);
        ck_assert_double_eq_tol(m.y, -2, 0.02);
        ck_assert_double_eq_tol(m.xx, 4 * shrink, 0.12 * shrink);
        ck_assert_double_eq_tol(m.yy, 0.25 * shrink, 0.008 * shrink);
        ck_assert_double_eq_tol(m.xy, 0.5 * shrink, 0.03 * shrink);
        ck_assert_double_eq_tol(m.ends, 0.25, 0.01);
    }
}
END_TEST

/* Two narrow normals, at -1 and 1, with weights 1 to 3; a bias of 1 makes them 1 to 9. */
START_TEST(weights_are_shares_and_a_bias_sharpens_them)
{
    const float output[] = {0, 0, 1.0986123f, -1, 1, 0, 0, -9, -9, -9, -9, 0, 0};
    ck_assert_double_eq_tol(draw_many(output, 2, 0).x, 0.5, 0.02);
    ck_assert_double_eq_tol(draw_many(output, 2, 1).x, 0.8, 0.02);
}
END_TEST

START_TEST(no_output_makes_a_point_that_is_no_number)
{
    const float bad[] = {NAN, INFINITY, -INFINITY, 3e38f, -3e38f};
    struct random random;
    random_init(&random, 1, 0);
    for (size_t i = 0; i < 5; i++)
        for (size_t at = 0; at < 13; at++) {
            float output[13] = {0};
            double x, y;
            bool ends;
            output[at] = bad[i];
            handwriting_draw(output, 2, 0.5, &random, &x, &y, &ends);
            ck_assert(isfinite(x) && isfinite(y));
        }
}
END_TEST

/* ---- the job ------------------------------------------------------------------------------------ */

static const int32_t text[] = {2, 3, 1, 4, 5, 1, 2, 3, 4, 5}; /* "ab cd abcd" */

static struct handwriting *begin(const struct handwriting_request *request, struct jobs_witness *witness)
{
    struct handwriting *handwriting = NULL;
    struct error err = {.message = ""};
    jobs_witness_init(witness);
    struct job_options options = jobs_options(witness);
    ck_assert_msg(handwriting_new(model, request, &options, &handwriting, &err) == STATUS_OK, "%s",
                  err.message);
    return handwriting;
}

static struct handwriting *run(const struct handwriting_request *request, size_t chunk_steps)
{
    struct jobs_witness witness;
    struct scheduler *scheduler = jobs_scheduler(1, chunk_steps, 4);
    struct handwriting *handwriting = begin(request, &witness);
    ck_assert_int_eq(jobs_run(handwriting_job(handwriting), scheduler, &witness), STATUS_OK);
    scheduler_free(scheduler);
    return handwriting;
}

START_TEST(a_seed_is_a_hand_alone_and_in_company)
{
    struct handwriting_request request = {.text = {text, 10}, .bias = 0.5, .seed = 3, .max_whole_steps = 64};
    size_t n, other_n;
    bool has_ended;
    struct handwriting *alone = run(&request, 1), *chunked = run(&request, 32);
    const struct pen_point *points = handwriting_points(alone, &n, &has_ended);
    ck_assert_uint_gt(n, 10);
    ck_assert_uint_le(n, 11 * 20); /* points_per_character, of the text and its end */
    ck_assert_uint_eq(handwriting_n_read(alone), 11);
    for (size_t i = 0; i < n; i++) ck_assert_uint_lt(points[i].row, 11);
    const struct pen_point *others = handwriting_points(chunked, &other_n, &has_ended);
    ck_assert_uint_eq(other_n, n);
    for (size_t i = 0; i < n; i++) ck_assert(points[i].x == others[i].x && points[i].y == others[i].y);
    job_free(handwriting_job(chunked));
    struct handwriting *company[4];
    struct jobs_witness witnesses[4];
    struct scheduler *scheduler = jobs_scheduler(1, 8, 4);
    for (size_t k = 0; k < 4; k++) {
        struct handwriting_request one = request;
        one.seed = 3 + k;
        one.text.n = 10 - 2 * k;
        company[k] = begin(&one, &witnesses[k]);
        ck_assert_int_eq(job_start(handwriting_job(company[k]), scheduler), STATUS_OK);
    }
    for (size_t k = 0; k < 4; k++) jobs_wait(&witnesses[k]);
    others = handwriting_points(company[0], &other_n, &has_ended);
    ck_assert_uint_eq(other_n, n);
    for (size_t i = 0; i < n; i++) ck_assert(points[i].x == others[i].x && points[i].y == others[i].y);
    for (size_t k = 0; k < 4; k++) job_free(handwriting_job(company[k]));
    job_free(handwriting_job(alone));
    scheduler_free(scheduler);
}
END_TEST

/* A text ends with a stroke, or after points_per_character. No stroke begins on the last row. */
START_TEST(a_text_ends_with_a_stroke_or_at_its_limit)
{
    size_t n, n_ended = 0;
    bool has_ended;
    for (uint64_t seed = 0; seed < 30; seed++) {
        struct handwriting_request request = {.text = {text, 2}, .seed = seed, .max_whole_steps = 64};
        struct handwriting *handwriting = run(&request, 8);
        const struct pen_point *points = handwriting_points(handwriting, &n, &has_ended);
        n_ended += has_ended;
        if (!has_ended) ck_assert_uint_eq(n, 3 * 20);
        else if (n < HANDWRITING_PATIENCE) ck_assert(points[n - 1].ends_stroke);
        for (size_t i = 0; i + 1 < n; i++)
            if (points[i].ends_stroke) ck_assert_uint_ne(points[i + 1].row, 2);
        job_free(handwriting_job(handwriting));
    }
    ck_assert_uint_gt(n_ended, 0);
}
END_TEST

/* ---- styles ------------------------------------------------------------------------------------- */

enum { N_SAMPLE = 3, N_CHECKED = 20, ROWS = 6 };
static const float sample[N_SAMPLE * HANDWRITING_INPUTS] = {0, 0, 0, 0.5f, -0.8f, 0, 0.25f, 0.75f, 1};

/* Draw points behind a sample, step by step and without a job: "ab", a space, "cd" and the end. The row of
 * each is that of the whole text. Past the end of the text it goes on. */
static void draw_by_hand(uint64_t seed, struct pen_point out[N_CHECKED])
{
    static const int32_t all[ROWS] = {2, 3, 1, 4, 5, 0};
    struct workspace *workspace;
    struct random random;
    float rows[ROWS * ROWS] = {0}, weights[ROWS], inputs[(1 + N_SAMPLE) * HANDWRITING_INPUTS] = {0, 0, 1};
    float *state = memory_new(network_state_floats(model->decoder), sizeof *state);
    const size_t row_floats = 1 + network_memory_floats(model->decoder);
    struct memory memory = {.rows = rows, .S = ROWS, .weights = weights,
                            .derived = memory_new(ROWS, row_floats * sizeof(float))};
    for (size_t u = 0; u < ROWS; u++) rows[u * ROWS + (size_t)all[u]] = 1;
    memcpy(inputs + HANDWRITING_INPUTS, sample, sizeof sample);
    ck_assert_int_eq(workspace_new(8, 1, &workspace), STATUS_OK);
    ck_assert_int_eq(workspace_fit(workspace, model->decoder), STATUS_OK);
    random_init(&random, seed, 0);
    for (size_t i = 0; i < N_SAMPLE + N_CHECKED; i++) {
        const size_t at = i < N_SAMPLE ? i : N_SAMPLE;
        struct ride ride = {.n_steps = 1, .features = inputs + at * HANDWRITING_INPUTS,
                            .state = state, .memory = &memory, .want = WANT_LAST};
        network_run(model->decoder, workspace, &ride, 1);
        if (i < N_SAMPLE) continue;
        struct pen_point *point = &out[i - N_SAMPLE];
        double dx, dy;
        handwriting_draw(ride.output, 2, 0.25, &random, &dx, &dy, &point->ends_stroke);
        for (uint32_t u = point->row = 0; u < ROWS; u++)
            if (weights[u] > weights[point->row]) point->row = u;
        point->x = i > N_SAMPLE ? point[-1].x + dx : 0;
        point->y = i > N_SAMPLE ? point[-1].y + dy : 0;
        float *next = inputs + N_SAMPLE * HANDWRITING_INPUTS;
        next[0] = (float)dx, next[1] = (float)dy, next[2] = point->ends_stroke;
    }
    workspace_free(workspace);
    memory_free(memory.derived);
    memory_free(state);
}

/* A sample is read with its text before the first point is drawn, however it is cut into turns. */
START_TEST(a_sample_is_read_before_the_text_is_written)
{
    static const int32_t ab[] = {2, 3}, cd[] = {4, 5};
    struct pen_point expected[N_CHECKED];
    for (uint64_t seed = 1; seed < 6; seed++) {
        struct handwriting_request request = {
            .text = {cd, 2}, .style = {.text = {ab, 2}, .points = sample, .n = N_SAMPLE}, .bias = 0.25,
            .seed = seed, .max_whole_steps = 64};
        draw_by_hand(seed, expected);
        for (size_t chunk = 1; chunk <= 32; chunk *= 2) {
            size_t n;
            bool has_ended;
            struct handwriting *handwriting = run(&request, chunk);
            const struct pen_point *points = handwriting_points(handwriting, &n, &has_ended);
            ck_assert_uint_eq(handwriting_n_read(handwriting), ROWS);
            for (size_t i = 0; i < n && i < N_CHECKED; i++) {
                ck_assert_double_eq(points[i].x, expected[i].x);
                ck_assert_double_eq(points[i].y, expected[i].y);
                ck_assert(points[i].ends_stroke == expected[i].ends_stroke);
                ck_assert_uint_lt(points[i].row, 3); /* of "cd" and its end */
                const bool is_written = i > 0 && points[i - 1].ends_stroke && expected[i].row == ROWS - 1;
                ck_assert(!is_written);
            }
            if (n < N_CHECKED) ck_assert(points[n - 1].ends_stroke && expected[n].row == ROWS - 1);
            job_free(handwriting_job(handwriting));
        }
    }
}
END_TEST

/* The model writes the same sample for a number, whatever the turns; another number is another hand. */
START_TEST(a_number_is_a_hand)
{
    size_t n, n_other;
    bool has_ended;
    struct handwriting_request request = {.text = {text, 5}, .style = {.text = {text, 3}, .seed = 9},
                                          .bias = 0.5, .seed = 3, .max_whole_steps = 64};
    struct handwriting *one = run(&request, 1), *chunked = run(&request, 32);
    request.style.seed = 10;
    struct handwriting *other = run(&request, 32);
    const struct pen_point *points = handwriting_points(one, &n, &has_ended);
    const struct pen_point *same = handwriting_points(chunked, &n_other, &has_ended);
    ck_assert_uint_eq(n, n_other);
    for (size_t i = 0; i < n; i++) ck_assert(points[i].x == same[i].x && points[i].y == same[i].y);
    same = handwriting_points(other, &n_other, &has_ended);
    bool differs = n != n_other;
    for (size_t i = 0; i < n && i < n_other; i++) differs |= points[i].x != same[i].x;
    ck_assert(differs);
    job_free(handwriting_job(one));
    job_free(handwriting_job(chunked));
    job_free(handwriting_job(other));
}
END_TEST

/* A line that rises and falls, at the height of letters that rise but do not reach below: 0.7 of a line. */
START_TEST(strokes_become_points_of_the_model)
{
    static const double values[] = {5, 5, 5, 75, 40, 75};
    static const size_t ends[] = {2, 3};
    const struct raw raw = {.media = MEDIA_INK, .values = values, .n = 3, .ends = ends, .n_ends = 2};
    struct handwriting_spec spec = {.line_height = 10, .spacing = 2};
    struct error err = {.message = ""};
    float *points;
    size_t n;
    ck_assert_int_eq(handwriting_style_points(&spec, &raw, "bat", &points, &n, &err), STATUS_OK);
    const float expected[] = {0, 0, 0, 0, 2, 0, 0, 2, 0, 0, 2, 0, 0, 1, 1, 3.5f, 0, 1};
    ck_assert_uint_eq(n, 6);
    for (size_t i = 0; i < 18; i++) ck_assert_float_eq_tol(points[i], expected[i], 1e-5f);
    memory_free(points);
    spec.spacing = 0; /* as they were sent */
    ck_assert_int_eq(handwriting_style_points(&spec, &raw, "bag", &points, &n, &err), STATUS_OK);
    ck_assert_uint_eq(n, 3);
    ck_assert_float_eq_tol(points[4], 10, 1e-5f);
    ck_assert_float_eq(points[5], 1);
    memory_free(points);
    spec.spacing = 1e-3;
    ck_assert_int_eq(handwriting_style_points(&spec, &raw, "bat", &points, &n, &err), STATUS_TOO_LONG);
    int32_t *ids;
    ck_assert_int_eq(handwriting_style_text(model, &ids, &n, &err), STATUS_OK);
    ck_assert_uint_eq(n, 5); /* "the quick brown fox" has three spaces, a c and a b that the model knows */
    ck_assert_int_eq(ids[0], 1);
    ck_assert_int_eq(ids[1], 4);
    memory_free(ids);
}
END_TEST

START_TEST(no_step_allocates)
{
    struct jobs_witness witness;
    struct scheduler *scheduler = jobs_scheduler(1, 4, 8);
    struct handwriting_request request = {.text = {text, 10}, .max_whole_steps = 64};
    struct handwriting *handwriting = begin(&request, &witness);
    uint64_t before = memory_allocations();
    ck_assert_int_eq(jobs_run(handwriting_job(handwriting), scheduler, &witness), STATUS_OK);
    ck_assert_uint_le(memory_allocations() - before, 60); /* lines, flows, lanes and workspaces, once each */
    job_free(handwriting_job(handwriting));
    scheduler_free(scheduler);
}
END_TEST

START_TEST(what_cannot_be_is_refused)
{
    static const int32_t unknown[] = {6};
    static int32_t longest[2000];
    const struct {
        struct handwriting_request request;
        const char *param;
        enum status status;
    } rows[] = {
        {{.text = {text, 0}}, "input", STATUS_BAD_VALUE},
        {{.text = {unknown, 1}}, "input", STATUS_BAD_VALUE},
        {{.text = {longest, 2000}}, "input", STATUS_TOO_LONG},
        {{.text = {text, 3}, .style = {.text = {unknown, 1}}}, "style", STATUS_BAD_VALUE},
        {{.text = {text, 3}, .style = {.points = sample, .n = N_SAMPLE}}, "style", STATUS_BAD_VALUE},
        {{.text = {text, 3}, .style = {.text = {text, 3}, .points = sample, .n = 5000}},
         "style", STATUS_TOO_LONG},
        {{.text = {text, 3}, .style = {.text = {longest, 2000}}}, "input", STATUS_TOO_LONG},
        {{.text = {text, 3}, .bias = NAN}, "bias", STATUS_BAD_VALUE},
        {{.text = {text, 3}, .bias = 10.1}, "bias", STATUS_BAD_VALUE},
        {{.text = {text, 3}, .bias = -0.1}, "bias", STATUS_BAD_VALUE},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct handwriting *handwriting;
        struct error err = {.message = ""};
        struct job_options options = {.priority = 0};
        ck_assert_int_eq(handwriting_new(model, &rows[i].request, &options, &handwriting, &err),
                         rows[i].status);
        ck_assert_str_eq(err.param, rows[i].param);
    }
    ck_assert_uint_eq(handwriting_mixtures(13), 2);
    ck_assert_uint_eq(handwriting_mixtures(12), 0);
    ck_assert_uint_eq(handwriting_mixtures(1), 0);
}
END_TEST

/* ---- the page ----------------------------------------------------------------------------------- */

/* Three words of a text "a b c", 10 wide and 4 apart, two strokes each, the third word lower. The pen
 * begins it while the window still looks at the space. */
static const bool spaces[] = {false, true, false, true, false, false};
static const struct pen_point words[] = {
    {0, 0, false, 0}, {10, 2, true, 0}, {5, 0, true, 0},
    {14, 0, false, 2}, {24, 2, true, 1}, {20, 0, true, 2},
    {28, 8, false, 3}, {38, 10, true, 4}, {33, 8, true, 5}};
enum { N_POINTS = sizeof words / sizeof *words };

static struct strokes lay_out(size_t width, enum align align, struct stroke_point *out)
{
    struct strokes page;
    struct page_request request = {.width = width, .size = 100, .align = align};
    ck_assert(handwriting_page(words, N_POINTS, spaces, 10, &request, out, &page));
    for (size_t i = 0; i < N_POINTS; i++) {
        ck_assert(out[i].x >= 0 && out[i].x <= (double)page.width);
        ck_assert(out[i].y >= 0 && out[i].y <= (double)page.height);
    }
    ck_assert(out[N_POINTS - 1].ends);
    return page;
}

START_TEST(words_that_do_not_fit_begin_a_line)
{
    struct stroke_point out[N_POINTS];
    struct strokes page = lay_out(600, ALIGN_LEFT, out); /* all on one line: 380 and two margins of 40 */
    ck_assert_uint_eq(page.height, 180);
    ck_assert_double_eq(out[0].x, 40);
    ck_assert_double_eq(out[7].x, 420);
    page = lay_out(400, ALIGN_LEFT, out); /* two words of 240 together, and one */
    ck_assert_uint_eq(page.height, 330);
    ck_assert_double_eq(out[3].x, 180);
    ck_assert_double_eq(out[6].x, 40);
    ck_assert_double_gt(out[6].y, out[3].y + 100);
    page = lay_out(100, ALIGN_LEFT, out); /* too narrow for a word: each has a line, cut to the page */
    ck_assert_uint_eq(page.height, 480);
    ck_assert_double_eq(out[1].x, 100);
}
END_TEST

/* The third word was written lower than the others, and lies level with them on its own line. */
START_TEST(lines_are_level_and_aligned)
{
    struct stroke_point out[N_POINTS];
    lay_out(400, ALIGN_RIGHT, out);
    ck_assert_double_eq(out[4].x, 360);
    ck_assert_double_eq(out[7].x, 360);
    ck_assert_double_eq_tol(out[6].y - out[3].y, 150, 1e-9);
    lay_out(400, ALIGN_CENTER, out);
    ck_assert_double_eq(out[0].x, 80);
    ck_assert_double_eq(out[7].x, 250);
}
END_TEST

START_TEST(a_page_has_a_highest_height)
{
    enum { MANY = 400 };
    struct pen_point points[MANY];
    struct stroke_point out[MANY];
    bool is_space[2 * MANY];
    struct strokes page;
    struct page_request request = {.width = 100, .size = 100, .align = ALIGN_LEFT};
    for (size_t i = 0; i < MANY; i++) {
        points[i] = (struct pen_point){(double)i * 100, 0, true, (uint32_t)(2 * i)};
        is_space[2 * i] = false;
        is_space[2 * i + 1] = true;
    }
    ck_assert(!handwriting_page(points, MANY, is_space, 10, &request, out, &page));
    ck_assert_uint_gt(page.height, STROKES_MAX_SIDE);
}
END_TEST

/* ---- files -------------------------------------------------------------------------------------- */

static const struct stroke_point drawn[] = {{10, 10, false}, {20, 10, false}, {30, 20, true}, {5, 40, true}};
static const struct strokes page = {drawn, 4, 60, 50, 4};

START_TEST(an_svg_has_a_path_a_stroke)
{
    char *out = malloc(strokes_svg_room(&page));
    size_t n = strokes_svg(&page, out);
    ck_assert_uint_lt(n, strokes_svg_room(&page));
    out[n] = 0;
    ck_assert_ptr_nonnull(strstr(out, "viewBox=\"0 0 60 50\""));
    ck_assert_ptr_nonnull(strstr(out, "<path d=\"M10.00 10.00Q20.00 10.00 25.00 15.00L30.00 20.00\"/>\n"
                                      "<path d=\"M5.00 40.00h.01\"/>\n</g>\n</svg>\n"));
    free(out);
}
END_TEST

START_TEST(gcode_lifts_the_pen_between_strokes)
{
    char *out = malloc(strokes_gcode_room(&page));
    size_t n = strokes_gcode(&page, out);
    ck_assert_uint_lt(n, strokes_gcode_room(&page));
    out[n] = 0;
    ck_assert_str_eq(out, "; 15.0 x 12.5 mm\nG21\nG90\nG0 Z3\n"
                          "G0 X2.500 Y10.000\nG1 Z0 F600\nG1 X5.000 Y10.000 F1500\n"
                          "G1 X7.500 Y7.500 F1500\nG0 Z3\n"
                          "G0 X1.250 Y2.500\nG1 Z0 F600\nG0 Z3\nG0 X0 Y0\nM2\n");
    free(out);
}
END_TEST

START_TEST(pixels_are_dark_on_the_path_and_white_elsewhere)
{
    uint8_t grey[60 * 50];
    strokes_draw(&page, grey);
    ck_assert_uint_eq(grey[10 * 60 + 15], 0);  /* on the first line */
    ck_assert_uint_eq(grey[40 * 60 + 5], 0);   /* the dot */
    ck_assert_uint_eq(grey[25 * 60 + 45], 255);
    ck_assert_uint_eq(grey[30 * 60 + 17], 255); /* between the strokes: the pen was lifted */
    size_t n_soft = 0;
    for (size_t i = 0; i < sizeof grey; i++) n_soft += grey[i] > 0 && grey[i] < 255;
    ck_assert_uint_gt(n_soft, 10);
}
END_TEST

Suite *handwriting_suite(void)
{
    Suite *suite = suite_create("handwriting");
    TCase *mixture = tcase_create("mixture");
    tcase_add_test(mixture, a_normal_has_its_moments);
    tcase_add_test(mixture, weights_are_shares_and_a_bias_sharpens_them);
    tcase_add_test(mixture, no_output_makes_a_point_that_is_no_number);
    suite_add_tcase(suite, mixture);
    TCase *job = tcase_create("job");
    tcase_add_checked_fixture(job, setup, teardown);
    tcase_set_timeout(job, 60);
    tcase_add_test(job, a_seed_is_a_hand_alone_and_in_company);
    tcase_add_test(job, a_text_ends_with_a_stroke_or_at_its_limit);
    tcase_add_test(job, a_sample_is_read_before_the_text_is_written);
    tcase_add_test(job, a_number_is_a_hand);
    tcase_add_test(job, strokes_become_points_of_the_model);
    tcase_add_test(job, no_step_allocates);
    tcase_add_test(job, what_cannot_be_is_refused);
    suite_add_tcase(suite, job);
    TCase *lines = tcase_create("page");
    tcase_add_test(lines, words_that_do_not_fit_begin_a_line);
    tcase_add_test(lines, lines_are_level_and_aligned);
    tcase_add_test(lines, a_page_has_a_highest_height);
    suite_add_tcase(suite, lines);
    TCase *files = tcase_create("files");
    tcase_add_test(files, an_svg_has_a_path_a_stroke);
    tcase_add_test(files, gcode_lifts_the_pen_between_strokes);
    tcase_add_test(files, pixels_are_dark_on_the_path_and_white_elsewhere);
    suite_add_tcase(suite, files);
    return suite;
}
