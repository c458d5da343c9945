/* arguments: the command line, read.
 *
 * Everything points into argv or is a copy of the caller's storage; no life cycle. main only. */
#ifndef CAROUSEL_SERVER_ARGUMENTS_H
#define CAROUSEL_SERVER_ARGUMENTS_H

#include <stdbool.h>
#include <stdint.h>

#include "server/base/config.h"

enum command {
    COMMAND_NONE,
#define COMMAND(symbol, name, follows, takes_values, text, more) COMMAND_##symbol,
#include "server/cli/commands.def"
    N_COMMANDS
};

enum { MAX_SETTINGS = 64, MAX_CLI_STOPS = 8 };

struct arguments {
    enum command command;
    bool help, version, check_config, print_config;
    const char *config;                 /* the file, or NULL */
    struct {
        char section[32], key[64];
        const char *value;
    } settings[MAX_SETTINGS];           /* flags that set a key, in order */
    size_t n_settings;
    char folders[CONFIG_TEXT_BYTES];    /* of --models, joined */
    char bundles[CONFIG_TEXT_BYTES];    /* of --model NAME=PATH, joined */
    char model[128];                    /* of the last --model: its name */
    /* generate, forecast, classify, predict, ask */
    const char **values;                /* [n_values] what is no option; points into argv */
    size_t n_values;
    int64_t max_tokens, top_k, n, seed, horizon, num_samples; /* -1: not given */
    double temperature, top_p, min_p;                         /* -1: not given */
    const char *prompt;                                       /* as an option, or NULL */
    const char *quantiles;                                    /* "0.1,0.5,0.9" or NULL */
    const char *stops[MAX_CLI_STOPS];
    size_t n_stops;
    const char *returns;                                      /* "last", "all" or NULL */
    const char *alphabet;                                     /* "arpabet", "ipa" or NULL */
    /* keys */
    const char *scopes;                 /* "infer,metrics" or NULL */
    int64_t requests_per_minute, steps_per_minute, weight; /* -1: not given */
    const char *max_priority;           /* "-3" or NULL */
};

enum option_kind { OPTION_FLAG, OPTION_TEXT, OPTION_INTEGER, OPTION_NUMBER, OPTION_KEY, OPTION_SET,
                   OPTION_FOLDER, OPTION_MODEL, OPTION_STOP };

/* An option of the command line. */
struct option {
    const char *name;
    enum option_kind kind;
    size_t offset;             /* of what it sets in struct arguments */
    const char *section, *key; /* OPTION_KEY */
    unsigned commands;         /* mask of those it goes with; 0: all */
    const char *value, *text;  /* what help calls its value (NULL: it has none), and says of it */
};

/* The i-th option, in the order of help; NULL after the last. */
const struct option *arguments_option(size_t i);

/* "" for COMMAND_NONE. */
const char *command_name(enum command command);
/* COMMAND_NONE if no command has that name. */
enum command command_find(const char *name);

/* Read argv[1..]. argv is reordered: values point to its front. On failure `err` says what is wrong. */
MUST_CHECK enum status arguments_parse(int argc, char **argv, struct arguments *out, struct error *err);

/* Defaults, file, environment and flags, in this order. */
MUST_CHECK enum status arguments_config(const struct arguments *arguments, struct config *config,
                                        struct error *err);

#endif
