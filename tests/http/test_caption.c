/* POST /v1/caption: pictures, frames and rows of numbers give what a naive search in Python finds
 * (tests/unit/bundles/captions.txt); hostile files; what is refused. The model is random. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

enum { MAX_LINE = 1024, MAX_BODY = 1 << 16 };

static struct server server;
static const char *const settings[] = {"CAROUSEL_MODELS_FOLDERS=tests/unit/bundles:" BUNDLES,
                                       "CAROUSEL_SCHEDULER_MAX_BATCH=8",
                                       "CAROUSEL_LIMITS_IMAGE_PIXELS=1024", NULL};

/* One picture of captions.txt. */
struct gold {
    char url[MAX_LINE], rows[MAX_LINE], text[4][MAX_LINE];
    double score[4], attention[16][4];
    size_t n_attention;
};
static struct gold golds[3];

static void read_line(FILE *file, char line[MAX_LINE])
{
    ck_assert_ptr_nonnull(fgets(line, MAX_LINE, file));
    line[strcspn(line, "\n")] = '\0';
}

static void read_gold(FILE *file, struct gold *gold)
{
    char line[MAX_LINE];
    int at = 0;
    read_line(file, gold->url);
    read_line(file, gold->rows);
    for (size_t k = 0; k < 4; k++) {
        read_line(file, line);
        ck_assert_int_eq(sscanf(line, "%lf %n", &gold->score[k], &at), 1);
        snprintf(gold->text[k], MAX_LINE, "%s", line + at);
    }
    gold->n_attention = 0;
    for (read_line(file, line); *line; read_line(file, line)) {
        double *a = gold->attention[gold->n_attention++];
        ck_assert_int_eq(sscanf(line, "%lf %lf %lf %lf", &a[0], &a[1], &a[2], &a[3]), 4);
    }
}

static void start(void)
{
    FILE *file = fopen("tests/unit/bundles/captions.txt", "r");
    ck_assert_ptr_nonnull(file);
    for (size_t i = 0; i < 3; i++) read_gold(file, &golds[i]);
    fclose(file);
    server_start(&server, settings);
}

static void stop(void)
{
    ck_assert_int_eq(server_stop(&server), 0);
}

/* The file as a data URL in out[MAX_BODY]. */
static void read_url(const char *type, const char *name, char *out)
{
    char command[256];
    snprintf(command, sizeof command, "base64 -w0 tests/unit/pictures/%s", name);
    FILE *pipe = popen(command, "r");
    ck_assert_ptr_nonnull(pipe);
    int n = snprintf(out, MAX_BODY, "data:%s;base64,", type);
    size_t more = fread(out + n, 1, MAX_BODY / 2, pipe);
    ck_assert_int_eq(pclose(pipe), 0);
    ck_assert_uint_gt(more, 0);
    out[(size_t)n + more] = '\0';
}

static struct reply *post_image(const char *url, const char *more)
{
    char body[2 * MAX_BODY];
    snprintf(body, sizeof body, "{'model':'tiny-caption','image':'%s'%s}", url, more);
    return post(&server, "/v1/caption", body);
}

static void expect_gold(struct reply *reply, const struct gold *gold, size_t n)
{
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "object"), "caption");
    ck_assert_int_eq(length_at(reply, "captions"), (int)n);
    for (size_t k = 0; k < n; k++) {
        char path[64];
        snprintf(path, sizeof path, "captions.%zu.text", k);
        ck_assert_str_eq(text_at(reply, path), gold->text[k]);
        snprintf(path, sizeof path, "captions.%zu.score", k);
        ck_assert_double_eq_tol(number_at(reply, path), gold->score[k], 1e-5);
    }
}

START_TEST(pictures_have_captions)
{
    const struct gold *gold = &golds[_i];
    char body[4 * MAX_LINE];
    expect_gold(post_image(gold->url, ",'n':4"), gold, 4);
    expect_gold(post_image(gold->url, ""), gold, 1);
    snprintf(body, sizeof body, "{'model':'tiny-caption','features':%s,'n':4}", gold->rows);
    struct reply *reply = post(&server, "/v1/caption", body);
    expect_gold(reply, gold, 4);
    ck_assert_double_eq(number_at(reply, "usage.prompt_tokens"), 4);
    snprintf(body, sizeof body, "{'model':'tiny-caption','frames':['%s'],'n':4}", gold->url);
    expect_gold(post(&server, "/v1/caption", body), gold, 4);
    /* of three frames a model of still pictures looks at the one in the middle */
    snprintf(body, sizeof body, "{'model':'tiny-caption','frames':['%s','%s','%s'],'n':4}",
             golds[(_i + 1) % 3].url, gold->url, golds[(_i + 2) % 3].url);
    expect_gold(post(&server, "/v1/caption", body), gold, 4);
}
END_TEST

/* The bytes of a data URL. */
static size_t read_bytes(const char *url, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    unsigned value = 0, bits = 0;
    size_t n = 0;
    for (const char *at = strchr(url, ',') + 1; *at && *at != '='; at++) {
        value = value << 6 | (unsigned)(strchr(digits, *at) - digits);
        if ((bits += 6) < 8) continue;
        bits -= 8;
        out[n++] = (char)(value >> bits & 0xff);
    }
    return n;
}

/* A form with fields "name=value&name=value" and pictures in parts of these names, ended by NULL. */
static struct reply *post_form(const char *fields, const char *const *names,
                               const struct gold *const *pictures)
{
    static char body[MAX_BODY];
    static struct reply reply;
    static struct client client;
    static const char part[] = "--xYz\r\nContent-Disposition: form-data; name=\"%.*s\"%s\r\n\r\n";
    size_t n = 0;
    for (const char *at = fields; *at;) {
        const char *value = strchr(at, '=') + 1, *end = value + strcspn(value, "&");
        n += (size_t)snprintf(body + n, MAX_BODY - n, part, (int)(value - 1 - at), at, "");
        n += (size_t)snprintf(body + n, MAX_BODY - n, "%.*s\r\n", (int)(end - value), value);
        at = *end ? end + 1 : end;
    }
    for (size_t i = 0; names[i]; i++) {
        n += (size_t)snprintf(body + n, MAX_BODY - n, part, (int)strlen(names[i]), names[i],
                              "; filename=\"a.png\"\r\nContent-Type: image/png");
        n += read_bytes(pictures[i]->url, body + n);
        n += (size_t)snprintf(body + n, MAX_BODY - n, "\r\n");
    }
    n += (size_t)snprintf(body + n, MAX_BODY - n, "--xYz--\r\n");
    client_open(&client, &server);
    client_say(&client, "POST /v1/caption HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
               "Content-Type: multipart/form-data; boundary=xYz\r\nContent-Length: %zu\r\n\r\n", n);
    client_send(&client, body, n);
    ck_assert(client_read(&client, &reply));
    client_close(&client);
    return &reply;
}

/* Pictures as files of a form: one, and the frames of an animation. */
START_TEST(files_of_a_form_have_captions)
{
    const struct gold *gold = &golds[_i];
    const struct gold *const frames[] = {&golds[(_i + 1) % 3], gold, &golds[(_i + 2) % 3]};
    const char *const several[] = {"frames[]", "frames[]", "frames[]", NULL};
    const char *const plain[] = {"frames", NULL};
    expect_gold(post_form("model=tiny-caption&n=4", (const char *const[]){"image", NULL}, &gold), gold, 4);
    expect_gold(post_form("model=tiny-caption&n=4", several, frames), gold, 4);
    expect_gold(post_form("model=tiny-caption", plain, &gold), gold, 1);
}
END_TEST

START_TEST(forms_that_cannot_be_are_refused)
{
    static const struct {
        const char *fields, *names[3], *param;
        int status;
    } rows[] = {
        {"model=tiny-caption", {"image", "image", NULL}, "image", 400},
        {"model=tiny-caption", {"image", "frames", NULL}, "frames", 400},
        {"model=tiny-caption", {"file", NULL}, "image", 400},
        {"model=tiny-caption", {NULL}, "image", 400},
        {"model=tiny-caption&n=0", {"image", NULL}, "n", 400},
        {"model=tiny-caption&image=data", {"image", NULL}, "image", 400},
    };
    const struct gold *const pictures[] = {&golds[0], &golds[1]};
    expect_error(post_form(rows[_i].fields, rows[_i].names, pictures), rows[_i].status, "invalid_value",
                 rows[_i].param);
}
END_TEST

START_TEST(attention_is_given_on_request)
{
    const struct gold *gold = &golds[_i];
    struct reply *reply = post_image(gold->url, ",'return_attention':true");
    expect_gold(reply, gold, 1);
    ck_assert_int_eq(length_at(reply, "captions.0.attention.target"), (int)gold->n_attention);
    ck_assert_int_eq(length_at(reply, "captions.0.attention.weights"), (int)gold->n_attention);
    ck_assert_ptr_null(strstr(reply->body, "\"source\""));
    for (size_t k = 0; k < gold->n_attention; k++)
        for (size_t s = 0; s < 4; s++) {
            char path[64];
            snprintf(path, sizeof path, "captions.0.attention.weights.%zu.%zu", k, s);
            ck_assert_double_eq_tol(number_at(reply, path), gold->attention[k][s], 1e-5);
        }
}
END_TEST

START_TEST(each_format_is_read)
{
    static const char *const rows[][2] = {{"image/png", "clear.png"}, {"image/png", "palette.png"},
                                          {"image/jpeg", "smooth.jpg"}, {"image/jpg", "progressive.jpg"},
                                          {"image/gif", "moving.gif"}};
    char url[MAX_BODY];
    read_url(rows[_i][0], rows[_i][1], url);
    struct reply *reply = post_image(url, ",'max_tokens':3");
    expect_ok(reply);
    ck_assert_int_gt((int)strlen(text_at(reply, "captions.0.text")), 0);
}
END_TEST

/* 60,000 x 60,000 pixels in 70 bytes, with right checksums. */
START_TEST(hostile_pictures_are_refused)
{
    static const struct {
        const char *url, *says;
    } rows[] = {
        {"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAA6mAAAOpgCAAAAACluSqeAAAAC0lEQVR4nGNggAAAAAgAAbdYc5U=",
         "60000 x 60000 pixels, expected at most 1024"},
        {"data:image/png;base64,iVBORw0KGgo=", "damaged or cut short"},
        {"data:image/png;base64,", "no picture"},
        {"data:image/png;base64,%%%", "no base64"},
        {"data:image/jpeg;base64,iVBORw0KGgo=", "the bytes are a PNG file"},
        {"data:image/webp;base64,UklGRg==", "expected a PNG, JPEG or GIF file"},
        {"http://127.0.0.1/cat.png", "expected a data URL"},
        {"/etc/passwd", "expected a data URL"},
        {"", "expected a data URL"},
    };
    struct reply *reply = post_image(rows[_i].url, "");
    expect_error(reply, 400, "invalid_value", "image");
    ck_assert_msg(strstr(reply->body, rows[_i].says) != NULL, "%s", reply->body);
}
END_TEST

START_TEST(what_cannot_be_is_refused_by_name)
{
    static const struct refused rows[] = {
        {"{'model':'tiny-caption'}", "invalid_value", "image", 400},
        {"{'model':'tiny-caption','image':7}", "invalid_value", "image", 400},
        {"{'model':'tiny-caption','image':'data:','features':[[1]]}", "invalid_value", "features", 400},
        {"{'model':'tiny-caption','features':[[1,2]]}", "invalid_value", "features[0]", 400},
        {"{'model':'tiny-caption','features':[]}", "invalid_value", "features", 400},
        {"{'model':'tiny-caption','features':[[[0,0,0,0,0,0]],[[0,0,0,0,0,0]]]}", "invalid_value", "features",
         400},
        {"{'model':'tiny-caption','frames':[]}", "invalid_value", "frames", 400},
        {"{'model':'tiny-caption','frames':'data:'}", "invalid_value", "frames", 400},
        {"{'model':'tiny-caption','frames':[1]}", "invalid_value", "frames[0]", 400},
        {"{'model':'tiny-caption','frames':['data:']}", "invalid_value", "frames[0]", 400},
        {"{'model':'tiny-caption','image':'data:','n':17}", "invalid_value", "n", 400},
        {"{'model':'tiny-caption','image':'data:','n':3,'num_beams':2}", "invalid_value", "n", 400},
        {"{'model':'tiny-caption','image':'data:','picture':1}", "invalid_value", "picture", 400},
        {"{'model':'tiny-translation','image':'data:'}", "unsupported_for_model", NULL, 422},
    };
    post_refused(&server, "/v1/caption", &rows[_i]);
}
END_TEST

Suite *caption_suite(void);

Suite *caption_suite(void)
{
    Suite *suite = suite_create("caption");
    TCase *core = tcase_create("core");
    tcase_add_checked_fixture(core, start, stop);
    tcase_set_timeout(core, TEST_TIMEOUT_S);
    tcase_add_loop_test(core, pictures_have_captions, 0, 3);
    tcase_add_loop_test(core, files_of_a_form_have_captions, 0, 3);
    tcase_add_loop_test(core, forms_that_cannot_be_are_refused, 0, 6);
    tcase_add_loop_test(core, attention_is_given_on_request, 0, 3);
    tcase_add_loop_test(core, each_format_is_read, 0, 5);
    tcase_add_loop_test(core, hostile_pictures_are_refused, 0, 9);
    tcase_add_loop_test(core, what_cannot_be_is_refused_by_name, 0, 14);
    suite_add_tcase(suite, core);
    return suite;
}
