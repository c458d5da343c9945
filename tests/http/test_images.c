/* POST /v1/images/generations: OpenAI's shape, sizes, completion, what is refused. The model is random. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "client.h"

static struct server server;
static const char *const settings[] = {"CAROUSEL_MODELS_FOLDERS=tests/unit/bundles", NULL};
#define ROUTE "/v1/images/generations"
#define SIGNATURE "iVBORw0KGgoAAAANSUhEUgAAA" /* of a PNG in base64, and the first digits of its width */

static void start(void)
{
    server_start(&server, settings);
}

static void stop(void)
{
    ck_assert_int_eq(server_stop(&server), 0);
}

START_TEST(pictures_have_openais_shape)
{
    char first[4096];
    struct reply *reply = post(&server, ROUTE,
                               "{'prompt':'b','n':3,'seed':5,'response_format':'b64_json','user':'u'}");
    expect_ok(reply);
    ck_assert_int_eq(length_at(reply, "data"), 3);
    ck_assert_str_eq(text_at(reply, "size"), "4x5");
    ck_assert_str_eq(text_at(reply, "output_format"), "png");
    ck_assert_double_eq(number_at(reply, "seed"), 5);
    ck_assert_double_eq(number_at(reply, "usage.output_tokens"), 60);
    ck_assert_double_lt(number_at(reply, "data.0.log_probability"), 0);
    strncpy(first, text_at(reply, "data.0.b64_json"), sizeof first - 1);
    ck_assert_ptr_eq(strstr(first, SIGNATURE), first);
    ck_assert_uint_eq(strlen(first) % 4, 0);
    reply = post(&server, ROUTE, "{'prompt':'b','seed':5}");
        /* the first picture of a seed is always the same */
    ck_assert_str_eq(text_at(reply, "data.0.b64_json"), first);
}
END_TEST

START_TEST(sizes_are_whole_multiples)
{
    struct reply *reply = post(&server, ROUTE, "{'prompt':'a','size':'80x100','seed':1}");
    expect_ok(reply);
    ck_assert_str_eq(text_at(reply, "size"), "80x100");
    reply = post(&server, ROUTE, "{'prompt':'a','size':'auto','seed':1}");
    ck_assert_str_eq(text_at(reply, "size"), "4x5");
}
END_TEST

START_TEST(an_upper_part_is_completed_and_a_whole_one_judged)
{
    struct reply *reply = post(&server, ROUTE,
                               "{'prompt':'c','complete':[[1,0,0.2,0.9],[0,1,1,0]],'seed':1}");
    expect_ok(reply);
    ck_assert_double_eq(number_at(reply, "usage.input_tokens"), 8);
    const char *body = "{'prompt':'a','temperature':0,'complete':"
                       "[[1,0,0,0],[0,0,1,1],[0,0,0,0],[0,1,1,1],[0,1,0,0]]}";
    reply = post(&server, ROUTE, body);
    ck_assert_double_eq_tol(number_at(reply, "data.0.log_probability"), -15.018266081, 1e-4);
        /* likelihoods.txt */
}
END_TEST

START_TEST(a_picture_is_branched)
{
    char whole[4096], id[64];
    struct reply *reply = post(&server, ROUTE, "{'prompt':'b','seed':5}");
    snprintf(whole, sizeof whole, "%s", text_at(reply, "data.0.b64_json"));
    for (int rows = 1; rows < 5; rows++) {
        reply = postf(&server, ROUTE, "{'prompt':'b','seed':5,'rows':%d,'store':true}", rows);
        expect_ok(reply);
        ck_assert_double_eq(number_at(reply, "usage.output_tokens"), 4 * rows);
        snprintf(id, sizeof id, "%s", text_at(reply, "id"));
        reply = postf(&server, ROUTE, "{'previous_response_id':'%s','n':2}", id);
        expect_ok(reply);
        ck_assert_double_eq(number_at(reply, "seed"), 5);
        ck_assert_double_eq(number_at(reply, "usage.output_tokens"), 2 * (20 - 4 * rows));
        ck_assert_str_eq(text_at(reply, "data.0.b64_json"), whole);
        reply = postf(&server, "/v1/sessions", "{'from':'%s','id':'s%d'}", id, rows);
        ck_assert_int_eq(reply->status, 201);
        reply = postf(&server, ROUTE, "{'session':'s%d'}", rows);
        ck_assert_str_eq(text_at(reply, "data.0.b64_json"), whole);
        ck_assert_double_eq(number_at(reply, "step"), 1);
        expect_error(postf(&server, ROUTE, "{'session':'s%d'}", rows), 400, "invalid_value", "rows");
    }
    expect_error(postf(&server, ROUTE, "{'previous_response_id':'%s','prompt':'a'}", id), 400,
                 "invalid_value", "prompt");
    expect_error(postf(&server, ROUTE, "{'previous_response_id':'%s','complete':[[0,0,0,1]]}", id), 400,
                 "invalid_value", "complete");
    expect_error(postf(&server, ROUTE, "{'previous_response_id':'%s','rows':2}", id), 400, "invalid_value",
                 "rows");
    expect_error(post(&server, ROUTE, "{'prompt':'b','n':2,'store':true}"), 400, "invalid_value", "n");
}
END_TEST

/* A stream ends with the pictures of the whole answer; before them come upper parts, each of more rows. */
START_TEST(a_stream_shows_what_is_drawn)
{
    static struct client client;
    static struct reply stream;
    struct reply *whole = post(&server, ROUTE, "{'prompt':'b','n':2,'seed':5}");
    int n_whole = 0, rows[2] = {0};
    expect_ok(whole);
    client_open(&client, &server);
    client_post(&client, ROUTE, "{'prompt':'b','n':2,'seed':5,'stream':true,'partial_images':3}");
    ck_assert(client_read(&client, &stream));
    ck_assert_int_eq(stream.status, 200);
    ck_assert(stream.complete);
    for (char *at = stream.body, *end; strncmp(at, "data: [DONE]\n\n", 14) != 0; at = end + 2) {
        end = strstr(at, "\n\n");
        ck_assert_ptr_nonnull(end);
        cJSON *event = cJSON_ParseWithLength(at + 6, (size_t)(end - at - 6));
        const char *type = json_at(event, "type")->valuestring;
        int i = (int)json_at(event, "index")->valuedouble;
        ck_assert_str_eq(json_at(event, "size")->valuestring, "4x5");
        if (!strcmp(type, "image_generation.completed")) {
            char path[40];
            snprintf(path, sizeof path, "data.%d.b64_json", i);
            ck_assert_str_eq(json_at(event, "b64_json")->valuestring, text_at(whole, path));
            snprintf(path, sizeof path, "data.%d.log_probability", i);
            ck_assert_double_eq(json_at(event, "log_probability")->valuedouble, number_at(whole, path));
            ck_assert((cJSON_GetObjectItemCaseSensitive(event, "usage") != NULL) == (n_whole == 1));
            n_whole++;
        } else {
            ck_assert_str_eq(type, "image_generation.partial_image");
            ck_assert_int_gt((int)json_at(event, "rows")->valuedouble, rows[i]);
            rows[i] = (int)json_at(event, "rows")->valuedouble;
            ck_assert_int_lt(rows[i], 5);
        }
        cJSON_Delete(event);
    }
    ck_assert_int_eq(n_whole, 2);
    client_close(&client);
}
END_TEST

static const struct {
    const char *body, *code, *param;
    int status;
} refused[] = {
    {"{}", "invalid_value", "prompt", 400},
    {"{'prompt':'d'}", "invalid_value", "prompt", 400},
    {"{'prompt':7}", "invalid_value", "prompt", 400},
    {"{'prompt':'a','n':0}", "invalid_value", "n", 400},
    {"{'prompt':'a','n':17}", "invalid_value", "n", 400},
    {"{'prompt':'a','size':'5x4'}", "invalid_value", "size", 400},
    {"{'prompt':'a','size':'0x0'}", "invalid_value", "size", 400},
    {"{'prompt':'a','size':'2048x2560'}", "invalid_value", "size", 400},
    {"{'prompt':'a','size':'8x10x3'}", "invalid_value", "size", 400},
    {"{'prompt':'a','size':'99999999999x1'}", "invalid_value", "size", 400},
    {"{'prompt':'a','response_format':'url'}", "invalid_value", "response_format", 400},
    {"{'prompt':'a','output_format':'webp'}", "invalid_value", "output_format", 400},
    {"{'prompt':'a','quality':'hd'}", "invalid_value", "quality", 400},
    {"{'prompt':'a','stream':true,'store':true}", "invalid_value", "stream", 400},
    {"{'prompt':'a','stream':1}", "invalid_value", "stream", 400},
    {"{'prompt':'a','partial_images':2}", "invalid_value", "partial_images", 400},
    {"{'prompt':'a','stream':true,'partial_images':6}", "invalid_value", "partial_images", 400},
    {"{'prompt':'a','temperature':-1}", "invalid_value", "temperature", 400},
    {"{'prompt':'a','complete':[[1,0,0]]}", "invalid_value", "complete", 400},
    {"{'prompt':'a','complete':[[1,0,0,2]]}", "invalid_value", "complete", 400},
    {"{'prompt':'a','complete':[[0,0,0,0],[0,0,0,0],[0,0,0,0],[0,0,0,0],[0,0,0,0],[0,0,0,0]]}",
     "invalid_value",
     "complete", 400},
    {"{'prompt':'a','complete':'iVBORw0KGgo='}", "invalid_value", "complete", 400},
    {"{'model':'tiny-music','prompt':'a'}", "unsupported_for_model", NULL, 422},
};

START_TEST(what_cannot_be_is_refused_by_name)
{
    expect_error(post(&server, ROUTE, refused[_i].body), refused[_i].status, refused[_i].code,
                 refused[_i].param);
}
END_TEST

Suite *images_suite(void);

Suite *images_suite(void)
{
    Suite *suite = suite_create("images");
    TCase *core = tcase_create("core");
    tcase_add_checked_fixture(core, start, stop);
    tcase_set_timeout(core, TEST_TIMEOUT_S);
    tcase_add_test(core, pictures_have_openais_shape);
    tcase_add_test(core, sizes_are_whole_multiples);
    tcase_add_test(core, an_upper_part_is_completed_and_a_whole_one_judged);
    tcase_add_test(core, a_picture_is_branched);
    tcase_add_test(core, a_stream_shows_what_is_drawn);
    tcase_add_loop_test(core, what_cannot_be_is_refused_by_name, 0, sizeof refused / sizeof *refused);
    suite_add_tcase(suite, core);
    return suite;
}
