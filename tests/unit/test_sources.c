/* "name" and "inputs" in config.json: which layer reads which, and what is refused. */
#include <check.h>
#include <string.h>

#include "core/base/memory.h"
#include "models/bundle/bundle.h"

Suite *sources_suite(void);

#define CONFIG(network) "{\"format_version\":1,\"task\":\"text-generation\",\"network\":[" network "]," \
                        "\"tokenizer\":{\"type\":\"characters\",\"vocabulary\":[\"a\",\"b\"]}}"
#define EMBEDDING(more) "{\"type\":\"embedding\",\"prefix\":\"e\",\"num_embeddings\":2," \
                        "\"embedding_dim\":4" more "}"
#define LSTM(more) "{\"type\":\"lstm\",\"prefix\":\"l\",\"input_size\":4,\"hidden_size\":8" more "}"
#define CONCAT(more) "{\"type\":\"concat\"" more "}"

static enum status read_text(const char *text, struct bundle **out, struct error *err)
{
    return bundle_read(text, strlen(text), NULL, out, err);
}

START_TEST(layers_name_what_they_read)
{
    struct bundle *bundle;
    struct error err = {.message = ""};
    const char *text = CONFIG(EMBEDDING(",\"name\":\"words\"") ","
                              LSTM(",\"inputs\":\"words\",\"name\":\"h\"") ","
                              CONCAT(",\"inputs\":[\"h\",\"words\",\"input\"]"));
    ck_assert_msg(read_text(text, &bundle, &err) == STATUS_OK, "%s", err.message);
    ck_assert_uint_eq(bundle->layers[0].n_sources, 0);
    ck_assert_uint_eq(bundle->layers[1].n_sources, 1);
    ck_assert_int_eq(bundle->layers[1].sources[0], 0);
    static const int expected[] = {1, 0, SOURCE_INPUT};
    ck_assert_uint_eq(bundle->layers[2].n_sources, 3);
    ck_assert_mem_eq(bundle->layers[2].sources, expected, sizeof expected);
    bundle_close(bundle);
}
END_TEST

static const struct {
    const char *text, *sentence;
} broken[] = {
    {CONFIG(EMBEDDING("") "," LSTM(",\"inputs\":\"word\"")),
     "network[1] (lstm): 'inputs' names 'word', expected the 'name' of a layer, or 'input'"},
    {CONFIG(EMBEDDING(",\"name\":\"words\"") "," LSTM(",\"inputs\":\"word\"")),
     "network[1] (lstm): 'inputs' names 'word', expected the 'name' of a layer, or 'input'; did you mean "
     "'words'?"},
    {CONFIG(EMBEDDING(",\"name\":\"input\"")),
     "network[0] (embedding): 'name' is 'input', which means what enters the network"},
    {CONFIG(EMBEDDING(",\"name\":\"a\"") "," LSTM(",\"name\":\"a\"")),
     "network[1] (lstm): 'name' is 'a', as that of network[0]"},
    {CONFIG(EMBEDDING(",\"name\":7")),
     "network[0] (embedding): 'name' is 7, expected a string that is not empty"},
    {CONFIG(EMBEDDING(",\"name\":\"0123456789012345678901234567890123456789012345678901234567890123\"")),
     "network[0] (embedding): 'name' is '0123456789"},
    {CONFIG(EMBEDDING("") "," CONCAT(",\"inputs\":[]")),
     "network[1] (concat): 'inputs' has 0 entries, expected 1 to 8"},
    {CONFIG(EMBEDDING("") "," CONCAT(",\"inputs\":[1,2,3,4,5,6,7,8,9]")),
     "network[1] (concat): 'inputs' has 9 entries, expected 1 to 8"},
    {CONFIG(EMBEDDING("") "," CONCAT(",\"inputs\":[\"input\",{}]")),
     "network[1] (concat): an entry of 'inputs' is an object, expected a string that is not empty"},
};

START_TEST(names_that_mean_nothing_are_refused)
{
    struct bundle *bundle;
    struct error err = {.message = ""};
    ck_assert_int_ne(read_text(broken[_i].text, &bundle, &err), STATUS_OK);
    ck_assert_msg(strstr(err.message, broken[_i].sentence) != NULL, "is: %s\nnot: %s", err.message,
                  broken[_i].sentence);
}
END_TEST

#define TRANSLATION(network) "{\"format_version\":1,\"task\":\"translation\",\"network\":" network "," \
                             "\"tokenizer\":{\"type\":\"characters\",\"vocabulary\":[\"a\",\"b\"]}}"

/* A task of two networks names both; another has a plain list. */
START_TEST(a_task_with_a_decoder_has_two_networks)
{
    static const struct {
        const char *text, *sentence;
    } rows[] = {
        {TRANSLATION("[" EMBEDDING("") "]"),
         "config.json: 'network' is an array, expected an object of 'encoder' and 'decoder' for task "
         "'translation'"},
        {TRANSLATION("{\"encoder\":[" EMBEDDING("") "]}"), "config.json: network: 'decoder' is missing"},
        {TRANSLATION("{\"encoder\":[" EMBEDDING("") "],\"decoder\":[" CONCAT(",\"inputs\":\"x\"") "]}"),
         "config.json: decoder: network[0] (concat): 'inputs' names 'x'"},
        {TRANSLATION("{\"encoder\":[],\"decoder\":[" EMBEDDING("") "]}"),
         "config.json: encoder: network: 0 layers, expected 1 to "},
        {"{\"format_version\":1,\"task\":\"text-generation\",\"network\":{}}",
         "config.json: 'network' is an object, expected an array of layers for task 'text-generation'"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct bundle *bundle;
        struct error err = {.message = ""};
        ck_assert_int_ne(read_text(rows[i].text, &bundle, &err), STATUS_OK);
        ck_assert_msg(!strncmp(err.message, rows[i].sentence, strlen(rows[i].sentence)), "is: %s\nnot: %s",
                      err.message, rows[i].sentence);
    }
}
END_TEST

Suite *sources_suite(void)
{
    Suite *suite = suite_create("sources");
    TCase *core = tcase_create("core");
    tcase_add_test(core, layers_name_what_they_read);
    tcase_add_test(core, a_task_with_a_decoder_has_two_networks);
    tcase_add_loop_test(core, names_that_mean_nothing_are_refused, 0, (int)(sizeof broken / sizeof *broken));
    suite_add_tcase(suite, core);
    return suite;
}
