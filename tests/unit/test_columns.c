/* columns: what a bundle may say of the rows that it reads. Forecasts of them are compared with PyTorch's by
 * tests/http/test_columns.c. */
#include <check.h>
#include <string.h>

#include "models/bundle/bundle.h"

#define C "config.json: "
#define MEAN "{\"type\":\"mean\"}"
#define NONE "{\"type\":\"none\"}"
#define NETWORK                                                                                   \
    "\"network\":[{\"type\":\"lstm\",\"prefix\":\"l\",\"input_size\":1,\"hidden_size\":8},"          \
    "{\"type\":\"linear\",\"prefix\":\"o\",\"in_features\":8,\"out_features\":2}]"
#define COLUMNS(columns, keys)                                                                    \
    "{\"format_version\":1,\"task\":\"forecasting\"," NETWORK                                     \
    ",\"forecast\":{\"context_length\":8,\"columns\":[" columns "]" keys "}}"
#define TARGET "{\"name\":\"a\",\"role\":\"target\"}"
#define FUTURE "{\"name\":\"f\",\"role\":\"future\"}"
#define PAST "{\"name\":\"p\",\"role\":\"past\"}"
#define TWO_AHEAD(keys) ",\"output\":{\"type\":\"horizons\",\"horizon\":2" keys "}"

static const struct {
    const char *text, *sentence;
} broken[] = {
    {COLUMNS("", TWO_AHEAD("")), C "forecast: columns: 0 entries, expected 1 to 64"},
    {COLUMNS("5", TWO_AHEAD("")), C "forecast: columns: [0]: the column is 5, expected an object"},
    {COLUMNS("{\"name\":\"a\"}", TWO_AHEAD("")), C "forecast: columns: [0]: 'role' is missing"},
    {COLUMNS(TARGET "," TARGET, TWO_AHEAD("")),
     C "forecast: columns: [1]: 'name' is 'a', as that of a column before it"},
    {COLUMNS("{\"name\":\"a\\u202e\",\"role\":\"target\"}", TWO_AHEAD("")),
     C "forecast: columns: [0]: 'name' is"},
    {COLUMNS(PAST, TWO_AHEAD("")), C "forecast: columns: none has the role 'target'"},
    {COLUMNS("{\"name\":\"a\",\"role\":\"target\",\"scaling\":{\"type\":\"constant\"}}", TWO_AHEAD("")),
     C "forecast: columns: [0]: scaling: 'mean' is missing, type 'constant' needs it"},
    {COLUMNS("{\"name\":\"a\",\"role\":\"past\",\"calendar\":{\"part\":\"hour\"}}", TWO_AHEAD("")),
     C "forecast: columns: [0]: calendar: has no place in a column of role 'past'"},
    {COLUMNS("{\"name\":\"a\",\"role\":\"future\",\"calendar\":{\"part\":\"hour\",\"wave\":\"sin\"}}",
             TWO_AHEAD("")),
     C "forecast: columns: [0]: calendar: 'wave' and 'period' are a pair"},
    {COLUMNS(TARGET, ",\"scaling\":" NONE TWO_AHEAD("")),
     C "forecast: 'scaling' has no place beside 'columns', which have their own"},
    {COLUMNS(TARGET "," PAST, ",\"output\":" MEAN), C "forecast: columns: 1 have the role 'past', whose"},
    {COLUMNS(TARGET "," PAST, TWO_AHEAD(",\"roll_on\":true")), C "forecast: columns: 1 have the role 'past'"},
    {COLUMNS(TARGET ",{\"name\":\"b\",\"role\":\"target\"}", ",\"output\":" MEAN),
     C "forecast: columns: 2 have the role 'target', expected one with output type 'mean'"},
    {COLUMNS(TARGET "," FUTURE, TWO_AHEAD("") ",\"inputs\":[{\"column\":\"f\",\"lead\":3}]"),
     C "forecast: inputs: a 'lead' is 3, but an output tells of 2 steps"},
    {COLUMNS(TARGET "," FUTURE, TWO_AHEAD("") ",\"inputs\":[{\"column\":\"a\",\"lead\":1}]"),
     C "forecast: inputs[0]: 'lead' reads ahead, but column 'a' has the role 'target'"},
    {COLUMNS(TARGET, TWO_AHEAD("") ",\"inputs\":[{\"column\":\"g\"}]"),
     C "forecast: inputs[0]: 'column' is 'g', expected a name of 'columns'"},
    {COLUMNS(TARGET, TWO_AHEAD("") ",\"inputs\":[{\"lag\":1,\"missing\":true}]"),
     C "forecast: inputs[0]: 'missing' has no place without 'column'"},
    {COLUMNS(TARGET, ",\"output\":{\"type\":\"horizons\"}"),
     C "forecast: output: 'horizon' is missing, type 'horizons' needs it"},
    {COLUMNS(TARGET, ",\"output\":{\"type\":\"mean\",\"horizon\":2}"),
     C "forecast: output: 'horizon' has no place in type 'mean'"},
    {COLUMNS(TARGET, TWO_AHEAD(",\"shape\":[\"column\"]")),
     C "forecast: output: shape: 'step' is missing, of which there are 2"},
    {COLUMNS(TARGET, TWO_AHEAD(",\"shape\":[\"step\",\"step\"]")),
     C "forecast: output: shape[1]: 'step' is there twice"},
};

START_TEST(broken_columns_are_refused)
{
    struct bundle *bundle;
    struct error err = {.message = ""};
    const char *text = broken[_i].text, *sentence = broken[_i].sentence;
    ck_assert_msg(bundle_read(text, strlen(text), NULL, &bundle, &err) != STATUS_OK, "%s", text);
    ck_assert_msg(strncmp(err.message, sentence, strlen(sentence)) == 0, "%s\n   is: %s\n  not: %s", text,
                  err.message, sentence);
}
END_TEST

Suite *columns_suite(void);

Suite *columns_suite(void)
{
    Suite *suite = suite_create("columns");
    TCase *core = tcase_create("core");
    tcase_add_loop_test(core, broken_columns_are_refused, 0, sizeof broken / sizeof *broken);
    suite_add_tcase(suite, core);
    return suite;
}
