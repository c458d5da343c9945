/* The command line. One table says which option sets what; a value follows as the next argument or after
 * '='. */
#define _GNU_SOURCE /* environ */
#include "server/cli/arguments.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
    const char *name;
    bool takes_values;
} commands[] = {
    [COMMAND_NONE] = {"", false},
#define COMMAND(symbol, name, follows, takes_values, text, more) [COMMAND_##symbol] = {name, takes_values},
#include "server/cli/commands.def"
};

static const struct option options[] = {
#define GENERATE (1u << COMMAND_GENERATE)
#define FORECAST (1u << COMMAND_FORECAST)
#define CLASSIFY (1u << COMMAND_CLASSIFY)
#define PREDICT (1u << COMMAND_PREDICT)
#define PRONOUNCE (1u << COMMAND_PRONOUNCE)
#define ANSWER (1u << COMMAND_ANSWER)
#define CAPTION (1u << COMMAND_CAPTION)
#define KEYS (1u << COMMAND_KEYS)
#define AT(member) offsetof(struct arguments, member)
    {"--help", OPTION_FLAG, AT(help), 0, 0, 0, 0, "print the help of the command, or of all"},
    {"-h", OPTION_FLAG, AT(help), 0, 0, 0, 0, "the same as --help"},
    {"--version", OPTION_FLAG, AT(version), 0, 0, 0, 0, "print the version"},
    {"--check-config", OPTION_FLAG, AT(check_config), 0, 0, 0, 0,
     "check the settings; say nothing if they are good"},
    {"--print-config", OPTION_FLAG, AT(print_config), 0, 0, 0, 0,
     "print the settings in force, as a file with comments"},
    {"--config", OPTION_TEXT, AT(config), 0, 0, 0, "FILE", "read settings from this file"},
    {"--host", OPTION_KEY, 0, "server", "host", 0, "H", "the address of the server: server.host"},
    {"--port", OPTION_KEY, 0, "server", "port", 0, "P", "the port of the server: server.port"},
    {"--set", OPTION_SET, 0, 0, 0, 0, "SECTION.KEY=VALUE", "set any setting"},
    {"--models", OPTION_FOLDER, 0, 0, 0, 0, "DIR", "a folder of bundles; may be repeated"},
    {"--model", OPTION_MODEL, 0, 0, 0, 0, "NAME[=PATH]",
     "the model to use, or the bundle to serve by a name"},
    {"--keys", OPTION_KEY, 0, "auth", "keys_file", 0, "FILE", "the file of API keys: auth.keys_file"},
    {"--scopes", OPTION_TEXT, AT(scopes), 0, 0, KEYS, "LIST",
     "of infer, metrics and admin, with commas between"},
    {"--requests-per-minute", OPTION_INTEGER, AT(requests_per_minute), 0, 0, KEYS, "N",
     "at most so many requests a minute; 0: any number"},
    {"--steps-per-minute", OPTION_INTEGER, AT(steps_per_minute), 0, 0, KEYS, "N",
     "at most so many steps a minute; 0: any number"},
    {"--weight", OPTION_INTEGER, AT(weight), 0, 0, KEYS, "N", "its share beside other keys; 1 if left out"},
    {"--max-priority", OPTION_TEXT, AT(max_priority), 0, 0, KEYS, "N",
     "the highest priority it may ask for, -10 to 10"},
    {"--prompt", OPTION_TEXT, AT(prompt), 0, 0, GENERATE, "TEXT", "the prompt, instead of an argument"},
    {"--max-tokens", OPTION_INTEGER, AT(max_tokens), 0, 0, GENERATE, "N", "the most tokens to generate"},
    {"--temperature", OPTION_NUMBER, AT(temperature), 0, 0, GENERATE, "T",
     "0 takes the likeliest token each time"},
    {"--top-p", OPTION_NUMBER, AT(top_p), 0, 0, GENERATE, "P",
     "draw from the likeliest tokens that sum to P"},
    {"--min-p", OPTION_NUMBER, AT(min_p), 0, 0, GENERATE, "P",
     "leave out tokens less likely than P times the likeliest"},
    {"--n", OPTION_INTEGER, AT(n), 0, 0, GENERATE | PRONOUNCE | ANSWER | CAPTION, "N",
     "so many texts, pronunciations, answers or captions"},
    {"--stop", OPTION_STOP, 0, 0, 0, GENERATE, "TEXT", "end before this text; may be repeated"},
    {"--seed", OPTION_INTEGER, AT(seed), 0, 0, GENERATE | FORECAST, "N",
     "of the random numbers; the same seed gives the same answer"},
    {"--horizon", OPTION_INTEGER, AT(horizon), 0, 0, FORECAST, "N", "how many values to forecast"},
    {"--h", OPTION_INTEGER, AT(horizon), 0, 0, FORECAST, "N", "the same as --horizon"},
    {"--prediction-length", OPTION_INTEGER, AT(horizon), 0, 0, FORECAST, "N", "the same as --horizon"},
    {"--num-samples", OPTION_INTEGER, AT(num_samples), 0, 0, FORECAST, "N", "how many paths to draw"},
    {"--quantiles", OPTION_TEXT, AT(quantiles), 0, 0, FORECAST, "LIST", "levels such as 0.1,0.5,0.9"},
    {"--quantile-levels", OPTION_TEXT, AT(quantiles), 0, 0, FORECAST, "LIST", "the same as --quantiles"},
    {"--alphabet", OPTION_TEXT, AT(alphabet), 0, 0, PRONOUNCE, "arpabet|ipa", "how phonemes are written"},
    {"--return", OPTION_TEXT, AT(returns), 0, 0, PREDICT, "last|all",
     "the last step, or all; else as the bundle says"},
    {"--top-k", OPTION_INTEGER, AT(top_k), 0, 0, GENERATE | CLASSIFY | PREDICT, "K",
     "the likeliest K tokens, or the best K labels"},
};

const struct option *arguments_option(size_t i)
{
    return i < sizeof options / sizeof *options ? &options[i] : NULL;
}

const char *command_name(enum command command)
{
    return commands[command].name;
}

enum command command_find(const char *name)
{
    int c = N_COMMANDS;
    while (--c > COMMAND_NONE && strcmp(name, commands[c].name)) continue;
    return (enum command)c;
}

/* ":part" behind what `list` holds. */
static enum status join(char list[CONFIG_TEXT_BYTES], const char *part, struct error *err)
{
    size_t n = strlen(list);
    int more = snprintf(list + n, CONFIG_TEXT_BYTES - n, "%s%s", n ? ":" : "", part);
    if (more < 0 || (size_t)more >= CONFIG_TEXT_BYTES - n)
        return error_set(err, STATUS_TOO_LONG, "the paths together are longer than %d bytes",
                         CONFIG_TEXT_BYTES - 1);
    return STATUS_OK;
}

static enum status add_setting(struct arguments *out, const char *section, size_t n_section, const char *key,
                               size_t n_key, const char *value, struct error *err)
{
    if (out->n_settings == MAX_SETTINGS || n_section >= sizeof out->settings->section ||
        n_key >= sizeof out->settings->key)
        return error_set(err, STATUS_TOO_LONG, "too many settings, or one too long, on the command line");
    memcpy(out->settings[out->n_settings].section, section, n_section);
    memcpy(out->settings[out->n_settings].key, key, n_key);
    out->settings[out->n_settings++].value = value;
    return STATUS_OK;
}

/* section.key=value */
static enum status take_set(struct arguments *out, const char *text, struct error *err)
{
    const char *equals = strchr(text, '='), *dot = strchr(text, '.');
    if (!equals || !dot || dot > equals)
        return error_set(err, STATUS_BAD_VALUE, "--set %.80s: expected section.key=value", text);
    return add_setting(out, text, (size_t)(dot - text), dot + 1, (size_t)(equals - dot - 1), equals + 1, err);
}

/* NAME or NAME=PATH */
static enum status take_model(struct arguments *out, const char *text, struct error *err)
{
    size_t n = strcspn(text, "=");
    if (!text[n] && out->command == COMMAND_SERVE)
        return error_set(
            err, STATUS_BAD_VALUE,
            "--model %.80s: serve expects NAME=PATH; a folder of bundles is named by --models DIR", text);
    if (!n || n >= sizeof out->model)
        return error_set(err, STATUS_BAD_VALUE, "--model %.80s: expected NAME or NAME=PATH", text);
    memcpy(out->model, text, n);
    out->model[n] = '\0';
    return text[n] ? join(out->bundles, text, err) : STATUS_OK;
}

static enum status take_value(const struct option *option, const char *value, struct arguments *out,
                              struct error *err)
{
    void *target = (char *)out + option->offset;
    char *end;
    errno = 0;
    switch (option->kind) {
    case OPTION_FLAG: break;
    case OPTION_TEXT:
        memcpy(target, &value, sizeof value);
        break;
    case OPTION_INTEGER: {
        int64_t number = strtoll(value, &end, 10);
        if (errno || end == value || *end || number < 0)
            return error_set(err, STATUS_BAD_VALUE, "%s %.80s: expected an integer of at least 0",
                             option->name, value);
        memcpy(target, &number, sizeof number);
        break;
    }
    case OPTION_NUMBER: {
        double number = strtod(value, &end);
        if (end == value || *end || !(number >= 0) || !isfinite(number))
            return error_set(err, STATUS_BAD_VALUE, "%s %.80s: expected a number of at least 0", option->name,
                             value);
        memcpy(target, &number, sizeof number);
        break;
    }
    case OPTION_KEY:
        return add_setting(out, option->section, strlen(option->section), option->key, strlen(option->key),
                           value, err);
    case OPTION_SET: return take_set(out, value, err);
    case OPTION_FOLDER: return join(out->folders, value, err);
    case OPTION_MODEL: return take_model(out, value, err);
    case OPTION_STOP:
        if (out->n_stops == MAX_CLI_STOPS)
            return error_set(err, STATUS_TOO_LONG, "more than %d times --stop", MAX_CLI_STOPS);
        out->stops[out->n_stops++] = value;
        break;
    }
    return STATUS_OK;
}

/* A value although it begins with '-': a number, or stdin. */
static bool is_value(const char *argument)
{
    return argument[0] != '-' || !argument[1] || (argument[1] >= '0' && argument[1] <= '9') ||
           argument[1] == '.';
}

/* argv[*i] is an option; *i moves to the last argument that belongs to it. */
static enum status take_option(int argc, char **argv, int *i, struct arguments *out, struct error *err)
{
    const char *name = argv[*i], *equals = strchr(name, '=');
    size_t n = equals ? (size_t)(equals - name) : strlen(name);
    for (size_t k = 0; k < sizeof options / sizeof *options; k++) {
        const struct option *option = &options[k];
        if (strlen(option->name) != n || strncmp(option->name, name, n)) continue;
        if (option->commands && !(option->commands >> out->command & 1))
            return error_set(err, STATUS_BAD_VALUE, "%s does not go with this command; see carousel help",
                             option->name);
        if (option->kind == OPTION_FLAG) {
            if (equals) return error_set(err, STATUS_BAD_VALUE, "%s takes no value", option->name);
            *(bool *)((char *)out + option->offset) = true;
            return STATUS_OK;
        }
        const char *value = equals ? equals + 1 : *i + 1 < argc ? argv[++*i] : NULL;
        if (!value) return error_set(err, STATUS_BAD_VALUE, "%s needs a value", option->name);
        return take_value(option, value, out, err);
    }
    return error_set(err, STATUS_BAD_VALUE, "there is no option %.80s; see carousel help", name);
}

enum status arguments_parse(int argc, char **argv, struct arguments *out, struct error *err)
{
    *out = (struct arguments){.max_tokens = -1, .top_k = -1, .n = -1, .seed = -1, .horizon = -1,
                              .num_samples = -1, .requests_per_minute = -1, .steps_per_minute = -1,
                              .weight = -1, .temperature = -1, .top_p = -1, .min_p = -1,
                              .values = (const char **)(void *)argv};
    enum status status = STATUS_OK;
    bool only_values = false;
    for (int i = 1; i < argc && status == STATUS_OK; i++) {
        const char *argument = argv[i];
        if (!only_values && !strcmp(argument, "--")) only_values = true;
        else if (!only_values && !is_value(argument)) status = take_option(argc, argv, &i, out, err);
        else if (out->command != COMMAND_NONE) out->values[out->n_values++] = argument;
        else {
            out->command = command_find(argument);
            if (out->command == COMMAND_NONE)
                return error_set(err, STATUS_BAD_VALUE, "there is no command %.80s; see carousel help",
                                 argument);
        }
    }
    if (status == STATUS_OK && !commands[out->command].takes_values && out->n_values && !out->help)
        return error_set(err, STATUS_BAD_VALUE, "%s takes no argument, found %.80s; see carousel help",
                         command_name(out->command), out->values[0]);
    return status;
}

/* A user that names bundles, and no folder by flag, need not have the default one: it is there in the
 * repository only. */
static void forget_default_folder(struct config *config)
{
    static struct config defaults;
    config_defaults(&defaults);
    if (*config->models_bundles && !strcmp(config->models_folders, defaults.models_folders) &&
        access(config->models_folders, F_OK) != 0 && errno == ENOENT)
        config->models_folders[0] = '\0';
}

/* By these variables, platforms that run containers say where to listen: Knative and Cloud Run, and Vertex
 * AI. The first that is set takes the place of the default port. */
static enum status take_port(struct config *config, struct error *err)
{
    static const char *const names[] = {"PORT", "AIP_HTTP_PORT"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const char *port = getenv(names[i]);
        if (!port || !*port) continue;
        enum status status = config_set(config, "server", "port", port, err);
        if (status != STATUS_OK) error_prefix(err, "environment: %s", names[i]);
        return status;
    }
    return STATUS_OK;
}

enum status arguments_config(const struct arguments *arguments, struct config *config, struct error *err)
{
    config_defaults(config);
    enum status status = take_port(config, err);
    if (status == STATUS_OK && arguments->config) status = config_load(config, arguments->config, err);
    if (status == STATUS_OK) status = config_environment(config, environ, err);
    for (size_t i = 0; i < arguments->n_settings && status == STATUS_OK; i++)
        status = config_set(config, arguments->settings[i].section, arguments->settings[i].key,
                            arguments->settings[i].value, err);
    if (status == STATUS_OK && *arguments->folders)
        status = config_set(config, "models", "folders", arguments->folders, err);
    if (status == STATUS_OK && *arguments->bundles)
        status = config_set(config, "models", "bundles", arguments->bundles, err);
    if (status == STATUS_OK && !*arguments->folders) forget_default_folder(config);
    return status == STATUS_OK ? config_check(config, err) : status;
}
