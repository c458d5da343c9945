/* Settings: where they come from, what is refused, and that the example file is the table. */
#include "core/scheduler/sequence.h"
#include "models/forecast/forecasting.h"
#include "models/generation/generation.h"
#include "server/cli/arguments.h"
#include "server/base/config.h"
#include "server/base/fit.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct config config;
static struct error err;

static void start(void)
{
    config_defaults(&config);
    memset(&err, 0, sizeof err);
}

/* What config_print writes; the caller frees. */
static char *printed(size_t *n)
{
    char *text = NULL;
    FILE *file = open_memstream(&text, n);
    ck_assert_ptr_nonnull(file);
    config_print(&config, file);
    fclose(file);
    return text;
}

/* A limit that could be set higher than the tasks go would be published, and not hold. */
START_TEST(limits_end_where_the_tasks_do)
{
    static const struct {
        const char *key;
        int64_t most;
    } ends[] = {
        {"stop_bytes", GENERATION_MAX_STOP_BYTES}, {"series", FORECAST_MAX_SERIES},
        {"horizon", FORECAST_MAX_HORIZON},         {"num_samples", FORECAST_MAX_SAMPLES},
        {"quantiles", FORECAST_MAX_QUANTILES},     {"max_priority", SEQUENCE_PRIORITY_MAX},
    };
    const struct config_row *row;
    size_t n = 0;
    for (size_t i = 0; (row = config_row(i)); i++)
        for (size_t k = 0; k < sizeof ends / sizeof *ends; k++) {
            if (strcmp(row->section, "limits") || !row->key || strcmp(row->key, ends[k].key)) continue;
            ck_assert_msg(row->maximum == ends[k].most, "limits.%s ends at %lld", row->key,
                          (long long)row->maximum);
            n++;
        }
    ck_assert_uint_eq(n, sizeof ends / sizeof *ends);
}
END_TEST

/* In 130 MiB all limits together leave room for models; a large machine changes nothing. A limit that the
 * operator has set stays. */
START_TEST(limits_of_memory_follow_the_machine)
{
    const uint64_t mib = 1 << 20;
    config.limits_connections = 64;
    config_fit(&config, 130 * mib);
    ck_assert_int_eq(config.limits_jobs_bytes, (int64_t)(130 * mib / 8));
    ck_assert_int_eq(config.limits_reply_bytes, (int64_t)(130 * mib / 16 / 2));
    ck_assert_int_eq(config.limits_json_values, (int64_t)(130 * mib / 16 / 100 / 2));
    ck_assert_uint_lt(config_memory(&config), 68 * mib);
    config_defaults(&config);
    config_fit(&config, UINT64_MAX);
    ck_assert_int_eq(config.limits_jobs_bytes, 1 << 30);
    ck_assert_int_eq(config.limits_bodies_bytes, 256 << 20);
    ck_assert_int_eq(config.limits_replies_bytes, 256 << 20);
    ck_assert_int_eq(config.sessions_bytes, 256 << 20);
    ck_assert_int_eq(config.limits_reply_bytes, 64 << 20);
    ck_assert_int_eq(config.limits_json_values, 500000);
    config_defaults(&config);
    config.limits_jobs_bytes = 77 << 20;
    config_fit(&config, 130 * mib);
    ck_assert_int_eq(config.limits_jobs_bytes, 77 << 20);
    config_defaults(&config);
    config_fit(&config, 0);
    ck_assert_int_gt(config.limits_json_values, 0);
    ck_assert_int_gt(config.limits_jobs_bytes, 0);
}
END_TEST

START_TEST(rows_agree_with_themselves)
{
    const struct config_row *row;
    size_t n = 0;
    const char *section = "";
    for (size_t i = 0; (row = config_row(i)); i++, n++) {
        if (row->kind == CONFIG_SECTION) section = row->section;
        else ck_assert_str_eq(row->section, section);
        ck_assert_msg(row->help[strlen(row->help) - 1] == '.', "%s.%s", row->section, row->key);
        if (row->kind != CONFIG_INTEGER) continue;
        int64_t value = config_integer(&config, row);
        ck_assert(value >= row->minimum && value <= row->maximum);
    }
    ck_assert_uint_gt(n, 40);
}
END_TEST

START_TEST(the_example_is_the_table)
{
    size_t n, m;
    char *text = printed(&n), *example = malloc(CONFIG_FILE_BYTES);
    FILE *file = fopen("config.example.ini", "rb");
    ck_assert_msg(file != NULL, "run the tests in the top folder");
    m = fread(example, 1, CONFIG_FILE_BYTES, file);
    fclose(file);
    ck_assert_msg(n == m && !memcmp(text, example, n),
                  "config.example.ini differs: make it anew with env -i build/carousel --print-config");
    free(text);
    free(example);
}
END_TEST

START_TEST(what_is_printed_reads_back)
{
    static struct config other;
    size_t n, m;
    ck_assert_int_eq(config_set(&config, "server", "port", "0", &err), STATUS_OK);
    ck_assert_int_eq(config_set(&config, "log", "access", "false", &err), STATUS_OK);
    ck_assert_int_eq(config_set(&config, "models", "folders", "a:b", &err), STATUS_OK);
    char *text = printed(&n);
    config_defaults(&other);
    ck_assert_msg(config_read(&other, text, n, "text", &err) == STATUS_OK, "%s", err.message);
    ck_assert_int_eq(other.server_port, 0);
    ck_assert(!other.log_access);
    ck_assert_str_eq(other.models_folders, "a:b");
    config = other;
    char *again = printed(&m);
    ck_assert(n == m && !memcmp(text, again, n));
    free(text);
    free(again);
}
END_TEST

static const struct {
    const char *text, *message; /* message NULL: good */
} files[] = {
    {"", NULL},
    {"[server]\nport = 9000\n", NULL},
    {"; c\n# c\n\n[server]\nport=9000 ; c\n", NULL},
    {"[limits]\nbody_bytes = 2 MiB\n", NULL},
    {"[log]\naccess = off\n", NULL},
    {"[server]\nhost = ::1\r\nport = 1\r\n", NULL},
    {"port = 1\n", "f:1: key 'port' stands before the first [section]"},
    {"[server]\nprot = 1\n", "f:2: there is no key 'prot' in section [server]"},
    {"[serv]\nport = 1\n", "f:2: there is no key 'port' in section [serv]"},
    {"[server]\nport = 65536\n", "f:2: server.port is '65536'; expected an integer from 0 to 65535 (port)"},
    {"[server]\nport = -1\n", "f:2: server.port is '-1'"},
    {"[server]\nport = 80x\n", "f:2: server.port is '80x'"},
    {"[server]\nport = 1 KiB\n", "f:2: server.port is '1 KiB'"},
    {"[server]\nport =\n", "f:2: server.port is ''"},
    {"[limits]\nbody_bytes = 99999999999999999999\n", "f:2: limits.body_bytes"},
    {"[limits]\nbody_bytes = 9000000000000000000 GiB\n", "f:2: limits.body_bytes"},
    {"[log]\naccess = maybe\n", "f:2: log.access is 'maybe'; expected true or false"},
    {"[log]\nlevel = inf\n", "f:2: log.level is 'inf'; expected one of error|warning|info|debug"},
    {"[log]\nlevel = \n", "f:2: log.level is ''"},
    {"[models]\nprecision = int8\n", NULL},
    {"[models]\nprecision = auto, a=int8,b.c-2 = float32\n", NULL},
    {"[models]\nprecision = a=int8\n", NULL},
    {"[models]\nprecision = int4\n",
     "f:2: models.precision is 'int4'; expected one of auto|float32|float16|bfloat16|int8, and"},
    {"[models]\nprecision = auto, a=int4\n", "f:2: models.precision is 'auto, a=int4'"},
    {"[models]\nprecision = auto, a b=int8\n", "f:2: models.precision is"},
    {"[models]\nprecision = auto, int8\n", "f:2: models.precision is"},
    {"[models]\nprecision = a=int8, auto, a=float16\n", "f:2: models.precision is"},
    {"[models]\nprecision = a=\n", "f:2: models.precision is"},
    {"[server]\nport = 1\n\nport = 2\n", "f:4: server.port is set twice"},
    {"[server]\nhost = a\n  b\n", "f:3: expected [section] or key = value"},
    {" [server]\n  host = a\n\tport = 1\n  # c\n  ; c\n\n  [log]\n \t access = off\n", NULL},
    {"[server]\n  host = a\n  host = b\n", "f:3: server.host is set twice"},
    {"[server]\n  prot = 1\n", "f:2: there is no key 'prot' in section [server]"},
    {"[server]\nhost =;a\n", "f:2: the value of server.host begins with ';'"},
    {"[server]\nhost =#a\n", "f:2: the value of server.host begins with '#'"},
    {"[server]\nport = 80# c\n", "f:2: server.port is '80# c'"},
    {"[server] # c\nport = 80 # c\n", NULL},
    {"[server]\nport # = 80\n", "f:2: expected [section] or key = value"},
    {"[server\nport = 1\n", "f:1: expected [section] or key = value"},
    {"[server]\nwhat\n", "f:2: expected [section] or key = value"},
};

START_TEST(files_are_read_or_the_line_is_named)
{
    enum status status = config_read(&config, files[_i].text, strlen(files[_i].text), "f", &err);
    if (!files[_i].message) {
        ck_assert_msg(status == STATUS_OK, "%s: %s", files[_i].text, err.message);
        return;
    }
    ck_assert_msg(status != STATUS_OK, "taken: %s", files[_i].text);
    ck_assert_msg(!strncmp(err.message, files[_i].message, strlen(files[_i].message)), "%s: %s",
                  files[_i].text, err.message);
}
END_TEST

/* A comment ends a value only after a blank: a path may hold either sign. */
START_TEST(comments_are_no_part_of_a_value)
{
    static const struct {
        const char *line, *value;
    } lines[] = {
        {"folders = a#b;c", "a#b;c"},  {"folders = a # b", "a"},   {"folders = a\t# b ; c", "a"},
        {"folders = a ; b # c", "a"},  {"folders = # b", ""},      {"  folders = a b#c #d", "a b#c"},
        {"folders = a #", "a"},
    };
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        char text[80];
        int n = snprintf(text, sizeof text, "[server]\n  port = 1\n[models]\n%s\n", lines[i].line);
        start();
        enum status status = config_read(&config, text, (size_t)n, "f", &err);
        ck_assert_msg(status == STATUS_OK, "%s: %s", text, err.message);
        ck_assert_str_eq(config.models_folders, lines[i].value);
    }
}
END_TEST

START_TEST(hostile_files_are_refused)
{
    char line[400];
    snprintf(line, sizeof line, "[server]\nhost = %0300d\n", 1);
    ck_assert_int_eq(config_read(&config, line, strlen(line), "f", &err), STATUS_TOO_LONG);
    ck_assert_ptr_nonnull(strstr(err.message, "f:2: a line of"));
    ck_assert_int_eq(config_read(&config, "[server]\0\n", 10, "f", &err), STATUS_BAD_FORMAT);
    ck_assert_int_eq(config_load(&config, "/nowhere/config.ini", &err), STATUS_IO);
    ck_assert_ptr_nonnull(strstr(err.message, "/nowhere/config.ini"));
    ck_assert_int_ne(config_load(&config, "/", &err), STATUS_OK);
}
END_TEST

START_TEST(sizes_take_units)
{
    ck_assert_int_eq(config_set(&config, "limits", "body_bytes", "2MiB", &err), STATUS_OK);
    ck_assert_int_eq(config.limits_body_bytes, 2 << 20);
    ck_assert_int_eq(config_set(&config, "limits", "body_bytes", "64 KiB", &err), STATUS_OK);
    ck_assert_int_eq(config.limits_body_bytes, 64 << 10);
    ck_assert_int_ne(config_set(&config, "limits", "body_bytes", "1 MB", &err), STATUS_OK);
    ck_assert_str_eq(err.param, "limits.body_bytes");
}
END_TEST

START_TEST(the_environment_is_read)
{
    char *const good[] = {(char *)"PATH=/bin", (char *)"CAROUSEL_SERVER_PORT=9",
                          (char *)"CAROUSEL_SERVICE_HOST=x", (char *)"CAROUSEL=1", (char *)"CAROUSEL_", NULL};
    char *const unknown[] = {(char *)"CAROUSEL_SERVER_PROT=9", NULL};
    char *const wrong[] = {(char *)"CAROUSEL_SERVER_PORT=x", NULL};
    ck_assert_int_eq(config_environment(&config, good, &err), STATUS_OK);
    ck_assert_int_eq(config.server_port, 9);
    ck_assert_int_ne(config_environment(&config, unknown, &err), STATUS_OK);
    ck_assert_ptr_nonnull(strstr(err.message, "CAROUSEL_SERVER_PROT"));
    ck_assert_int_ne(config_environment(&config, wrong, &err), STATUS_OK);
    ck_assert_ptr_nonnull(strstr(err.message, "environment CAROUSEL_SERVER_PORT: server.port is 'x'"));
}
END_TEST

static enum status parse(struct arguments *out, int n, const char *const *words)
{
    static char *argv[32];
    argv[0] = (char *)"carousel";
    for (int i = 0; i < n; i++) argv[i + 1] = (char *)(size_t)words[i];
    return arguments_parse(n + 1, argv, out, &err);
}

START_TEST(flags_win)
{
    static const char *const words[] = {"serve",    "--port", "7",        "--host=::1",
                                        "--models", "a",      "--models", "b",
                                        "--model",  "x=/y",   "--set",    "limits.choices=3"};
    static struct arguments arguments;
    setenv("CAROUSEL_SERVER_PORT", "8", 1);
    setenv("CAROUSEL_LIMITS_SERIES", "9", 1);
    ck_assert_int_eq(parse(&arguments, 12, words), STATUS_OK);
    ck_assert_int_eq(arguments.command, COMMAND_SERVE);
    ck_assert_msg(arguments_config(&arguments, &config, &err) == STATUS_OK, "%s", err.message);
    ck_assert_int_eq(config.server_port, 7);
    ck_assert_int_eq(config.limits_series, 9);
    ck_assert_int_eq(config.limits_choices, 3);
    ck_assert_str_eq(config.server_host, "::1");
    ck_assert_str_eq(config.models_folders, "a:b");
    ck_assert_str_eq(config.models_bundles, "x=/y");
}
END_TEST

START_TEST(values_may_be_negative_numbers)
{
    static const char *const words[] = {"forecast", "--horizon", "2",  "-1",    "-.5",
                                        "3",        "null",      "--", "--seed"};
    static struct arguments arguments;
    ck_assert_int_eq(parse(&arguments, 9, words), STATUS_OK);
    ck_assert_uint_eq(arguments.n_values, 5);
    ck_assert_str_eq(arguments.values[1], "-.5");
    ck_assert_str_eq(arguments.values[4], "--seed");
    ck_assert_int_eq(arguments.horizon, 2);
}
END_TEST

static const struct {
    const char *words[4], *says;
} mistakes[] = {
    {{"surve"}, "no command surve"}, {{"serve", "--prot", "1"}, "no option --prot"},
    {{"serve", "--port"}, "--port needs a value"},
    {{"serve", "extra"}, "serve takes no argument, found extra"},
    {{"serve", "--temperature", "1"}, "does not go with this command"},
    {{"generate", "--temperature", "hot"}, "expected a number"},
    {{"generate", "--max-tokens", "-3"}, "expected an integer"}, {{"generate", "--help=1"}, "takes no value"},
    {{"serve", "--set", "port=1"}, "expected section.key=value"},
    {{"serve", "--model", "=x"}, "expected NAME"},
};

START_TEST(mistakes_on_the_command_line_are_named)
{
    static struct arguments arguments;
    int n = 0;
    while (n < 4 && mistakes[_i].words[n]) n++;
    ck_assert_int_ne(parse(&arguments, n, mistakes[_i].words), STATUS_OK);
    ck_assert_msg(strstr(err.message, mistakes[_i].says) != NULL, "%s", err.message);
}
END_TEST

Suite *config_suite(void);

Suite *config_suite(void)
{
    Suite *suite = suite_create("config");
    TCase *core = tcase_create("table");
    tcase_add_checked_fixture(core, start, NULL);
    tcase_add_test(core, rows_agree_with_themselves);
    tcase_add_test(core, limits_of_memory_follow_the_machine);
    tcase_add_test(core, limits_end_where_the_tasks_do);
    tcase_add_test(core, the_example_is_the_table);
    tcase_add_test(core, what_is_printed_reads_back);
    tcase_add_loop_test(core, files_are_read_or_the_line_is_named, 0, (int)(sizeof files / sizeof *files));
    tcase_add_test(core, comments_are_no_part_of_a_value);
    tcase_add_test(core, hostile_files_are_refused);
    tcase_add_test(core, sizes_take_units);
    tcase_add_test(core, the_environment_is_read);
    suite_add_tcase(suite, core);
    TCase *line = tcase_create("command line");
    tcase_add_checked_fixture(line, start, NULL);
    tcase_add_test(line, flags_win);
    tcase_add_test(line, values_may_be_negative_numbers);
    tcase_add_loop_test(line, mistakes_on_the_command_line_are_named, 0,
                        (int)(sizeof mistakes / sizeof *mistakes));
    suite_add_tcase(suite, line);
    return suite;
}
