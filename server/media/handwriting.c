/* POST /v1/handwriting: a text as the strokes of a pen, as SVG, PNG or G-code. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/bundle/input.h"
#include "models/generation/handwriting_page.h"
#include "models/generation/handwriting_style.h"
#include "models/media/image.h"
#include "server/api/answer.h"
#include "server/api/pen_strokes.h"
#include "server/api/texts.h"
#include "server/api/words.h"
#include "server/base/config.h"
#include "server/request/server.h"

enum { MIN_WIDTH = 64, MAX_WIDTH = 8192, WIDTH = 800, MIN_SIZE = 8, MAX_SIZE = 512, SIZE = 64 };
#define MAX_SEED 9007199254740991

enum format { FORMAT_STROKES, FORMAT_SVG, FORMAT_PNG, FORMAT_GCODE, N_FORMATS };
static const struct media_format formats[N_FORMATS] = {
    {"strokes", NULL}, {"svg", "image/svg+xml"}, {"png", "image/png"},
    {"gcode", "text/x-gcode; charset=utf-8"}};

struct handwrite {
    struct work work;
    struct handwriting *handwriting;
    bool *is_space; /* [rows of the text] owned */
    struct page_request page;
    unsigned format; /* enum format */
    double bias;
    int64_t seed;
};

/* The sample of a hand that a request gives; what handwriting_request borrows. */
struct hand {
    int32_t *ids; /* owned */
    float *points; /* owned; NULL: the model writes the sample */
    struct handwriting_style style;
};

static void hand_free(struct hand *hand)
{
    memory_free(hand->ids);
    memory_free(hand->points);
}

static void release(struct work *work)
{
    struct handwrite *task = (struct handwrite *)work;
    memory_free(task->is_space);
    work_release(work);
}

/* ---- the answer --------------------------------------------------------------------------------- */

static void put_strokes(struct writer *out, const struct strokes *page)
{
    put_name(out, "strokes");
    put_open(out, '[');
    bool begins = true;
    for (size_t i = 0; i < page->n; i++) {
        const struct stroke_point *p = &page->points[i];
        if (begins) put_open(out, '[');
        put_open(out, '[');
        put_float(out, (float)p->x);
        put_float(out, (float)p->y);
        put_close(out, ']');
        if (p->ends) put_close(out, ']');
        begins = p->ends;
    }
    put_close(out, ']');
}

static void print_strokes(const struct handwrite *task, struct request *request, const struct strokes *page,
                          bool has_ended, struct reply *reply)
{
    struct writer out;
    const size_t n_read = handwriting_n_read(task->handwriting);
    const struct usage usage[] = {{"prompt_tokens", n_read}, {"completion_tokens", page->n},
                                  {"total_tokens", n_read + page->n}};
    answer_open(&out, request, "hand-", "handwriting", task->work.job->model);
    put_named_integer(&out, "seed", task->seed);
    put_name(&out, "bias");
    put_double(&out, task->bias);
    put_named_integer(&out, "width", (int64_t)page->width);
    put_named_integer(&out, "height", (int64_t)page->height);
    put_strokes(&out, page);
    put_named_string(&out, "finish_reason", has_ended ? "stop" : "length");
    answer_close(&out, usage, 3, &task->work, reply);
}

static uint8_t *png_of(const struct strokes *page, size_t *bytes)
{
    uint8_t *grey = memory_new(page->width * page->height, 1), *file = NULL;
    if (grey) {
        strokes_draw(page, grey);
        file = image_write_png(grey, page->width, page->height, bytes);
    }
    memory_free(grey);
    return file;
}

/* The file as the reply's body. false: no memory. */
static bool print_file(enum format format, const struct strokes *page, struct reply *reply)
{
    reply->content_type = formats[format].media_type;
    if (format == FORMAT_PNG) {
        uint8_t *file = png_of(page, &reply->body_bytes);
        reply->body = file ? malloc(reply->body_bytes) : NULL;
        if (reply->body) memcpy(reply->body, file, reply->body_bytes);
        memory_free(file);
        return reply->body != NULL;
    }
    bool is_svg = format == FORMAT_SVG;
    reply->body = malloc(is_svg ? strokes_svg_room(page) : strokes_gcode_room(page));
    if (reply->body)
        reply->body_bytes = (is_svg ? strokes_svg : strokes_gcode)(page, reply->body);
    return reply->body != NULL;
}

static void print(struct work *work, struct request *request, struct reply *reply)
{
    const struct handwrite *task = (struct handwrite *)work;
    const struct handwriting_spec *spec = handwriting_spec_of(work->job->model);
    struct strokes page;
    size_t n;
    bool has_ended;
    const struct pen_point *points = handwriting_points(task->handwriting, &n, &has_ended);
    struct stroke_point *out = memory_new(n, sizeof *out);
    request->record.steps_out = n;
    bool good = out != NULL;
    if (good && (!handwriting_page(points, n, task->is_space, spec->line_height, &task->page, out, &page) ||
                 (task->format == FORMAT_PNG && page.width * page.height > STROKES_MAX_PIXELS)))
        problem_set(&reply->problem, FAULT_INVALID_VALUE, "size",
                    "the page would be %zu x %zu pixels, expected at most %d high, and %d pixels of PNG in "
                    "all; choose a smaller 'size' or a shorter text", page.width, page.height,
                    (int)STROKES_MAX_SIDE, (int)STROKES_MAX_PIXELS);
    else if (good && task->format == FORMAT_STROKES) print_strokes(task, request, &page, has_ended, reply);
    else if (good) good = print_file(task->format, &page, reply);
    memory_free(out);
    if (!good) problem_set(&reply->problem, FAULT_NO_MEMORY, NULL, NULL);
}

/* ---- what is asked ------------------------------------------------------------------------------ */

static bool read_align(struct call *call, enum align *align)
{
    static const char *const names[N_ALIGNS] = {"left", "center", "right"};
    unsigned which = *align;
    const bool good = word_read(call, "align", names, N_ALIGNS, &which);
    *align = which;
    return good;
}

static bool read_request(struct call *call, struct handwrite *task)
{
    task->bias = handwriting_spec_of(call->model)->bias;
    task->seed = call_random_seed();
    return format_read(call, formats, N_FORMATS, &task->format) && read_align(call, &task->page.align) &&
           field_size(call->root, "width", MIN_WIDTH, MAX_WIDTH, &task->page.width, call->problem) &&
           field_size(call->root, "size", MIN_SIZE, MAX_SIZE, &task->page.size, call->problem) &&
           field_number(call->root, "bias", 0, HANDWRITING_MAX_BIAS, &task->bias, call->problem) &&
           field_integer(call->root, "seed", 0, MAX_SEED, &task->seed, call->problem);
}

/* Which rows of the text are spaces. A bos or eos is none. */
static bool *find_spaces(const struct model *model, const struct token_span *text)
{
    const size_t first = input_puts_bos(model);
    bool *is_space = memory_new(input_text_steps(model, text->n), sizeof *is_space);
    for (size_t i = 0; is_space && i < text->n; i++) {
        size_t bytes;
        const char *piece = tokenizer_piece(model->tokenizer, text->ids[i], &bytes);
        is_space[first + i] = bytes == 1 && (*piece == ' ' || *piece == '\n');
    }
    return is_space;
}

/* ---- the hand ----------------------------------------------------------------------------------- */

/* The number of a hand: the model writes the sample. */
static bool read_number(struct call *call, struct hand *hand)
{
    struct error err = {0};
    int64_t number = 0;
    if (!field_integer(call->root, "style", 0, MAX_SEED, &number, call->problem)) return false;
    hand->style.seed = (uint64_t)number;
    enum status status = handwriting_style_text(call->model, &hand->ids, &hand->style.text.n, &err);
    if (status != STATUS_OK) return problem_from(call->problem, status, &err, "style");
    hand->style.text.ids = hand->ids;
    return hand->style.text.n || problem_set(
        call->problem, FAULT_UNSUPPORTED_FOR_MODEL, "style", "model '%s' knows no letter of its style_text, "
        "by which it finds a hand; expected {\"strokes\", \"text\"}", call->model->name);
}

/* The text that a sample writes. */
static bool read_sample_text(struct call *call, const struct json *style, struct hand *hand,
                             const char **text)
{
    struct call inner = *call;
    struct spans spans = {0};
    inner.root = style;
    const struct json *field = json_get(style, "text");
    bool good = json_kind(field) == JSON_STRING && *json_string(field);
    if (!good)
        return field_expected(field, "style.text", "a string that is not empty: what the strokes write",
                              call->problem);
    good = spans_read(&inner, "text", TEXTS_ONE, &spans) &&
           texts_check_letters(&inner, "text", &spans, "a text");
    if (good) {
        *text = json_string(field);
        hand->style.text = spans.spans[0];
        hand->ids = (int32_t *)(size_t)spans.spans[0].ids; /* ours from now on */
        spans.spans[0].ids = NULL;
    }
    spans_free(&spans);
    if (!good) (void)snprintf(call->problem->param, sizeof call->problem->param, "style.text");
    return good;
}

/* Strokes of the client's own, and what they write. */
static bool read_sample(struct call *call, const struct json *style, struct hand *hand)
{
    static const char *const known[] = {"strokes", "text", NULL};
    static const struct fields fields = {.known = known};
    struct raw_owned raw = {.values = NULL};
    struct error err = {0};
    const char *text = NULL;
    bool good = fields_check(style, &fields, NULL, true, call->problem) &&
                read_sample_text(call, style, hand, &text) &&
                strokes_read(call, json_get(style, "strokes"), "style.strokes", &raw);
    enum status status = good ? handwriting_style_points(handwriting_spec_of(call->model), &raw.raw, text,
                                                         &hand->points, &hand->style.n, &err)
                              : STATUS_OK;
    raw_free(&raw);
    hand->style.points = hand->points;
    if (status == STATUS_OK) return good;
    error_prefix(&err, "'style.strokes'");
    return problem_from(call->problem, status, &err, "style.strokes");
}

static bool read_hand(struct call *call, struct hand *hand)
{
    const struct json *style = json_get(call->root, "style");
    const enum json_kind kind = json_kind(style);
    if (kind == JSON_ABSENT || kind == JSON_NULL) return true;
    if (kind == JSON_NUMBER) return read_number(call, hand);
    if (kind == JSON_OBJECT) return read_sample(call, style, hand);
    return field_expected(style, "style", "a number, or an object {\"strokes\", \"text\"}", call->problem);
}

/* ---- the job ------------------------------------------------------------------------------------ */

static bool submit(struct call *call, const struct handwrite *wanted, const struct token_span *text)
{
    struct error err = {0};
    struct hand hand = {.ids = NULL};
    struct handwrite *task = calloc(1, sizeof *task);
    if (!task) return problem_set(call->problem, FAULT_NO_MEMORY, NULL, NULL);
    *task = *wanted;
    bool good = read_hand(call, &hand);
    const struct handwriting_request request = {
        .text = *text, .style = hand.style, .bias = task->bias, .seed = (uint64_t)task->seed,
        .max_whole_steps = scheduler_max_rows(call->request->server->scheduler)};
    task->is_space = find_spaces(call->model, text);
    enum status status = task->is_space ? STATUS_OK : STATUS_NO_MEMORY;
    if (good && status == STATUS_OK)
        status = handwriting_new(call->model, &request, &call->options, &task->handwriting, &err);
    call_record(call, text->n + hand.style.text.n);
    hand_free(&hand);
    if (!good || status != STATUS_OK) {
        release(&task->work);
        return good ? problem_from(call->problem, status, &err, "input") : false;
    }
    task->work.job = handwriting_job(task->handwriting);
    task->work.print = print;
    task->work.release = release;
    call_defer(call, &task->work);
    return true;
}

void api_handwriting(struct request *request, struct reply *reply)
{
    static const char *const known[] = {"input", "bias", "width", "size", "align", "seed", "format",
                                        "style", NULL};
    static const struct fields fields = {
        .known = known,
        .stateless = "a text is looked at whole while it is written, and each page is written anew"};
    struct call call;
    struct spans spans;
    struct handwrite wanted = {.page = {.width = WIDTH, .size = SIZE}};
    if (!call_open(&call, request, reply, &fields, ABILITY_WRITE)) return;
    if (read_request(&call, &wanted) && spans_read(&call, "input", TEXTS_ONE, &spans)) {
        if (spans.n != 1)
            problem_set(call.problem, FAULT_INVALID_VALUE, "input",
                        "'input' has %zu texts; expected one string", spans.n);
        else if (texts_check_letters(&call, "input", &spans, "a text"))
            submit(&call, &wanted, &spans.spans[0]);
        spans_free(&spans);
    }
    call_close(&call);
}
