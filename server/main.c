/* carousel: the command line's entry.
 *
 * Order of a start: arguments -> configuration -> (OpenBLAS's environment) -> the command. */
#define _GNU_SOURCE /* execv of /proc/self/exe with the environment */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/kernels.h"
#include "models/inspect.h"
#include "models/per_model.h"
#include "server/arguments.h"
#include "server/cli.h"
#include "server/health.h"
#include "server/keys_command.h"
#include "server/serve.h"

enum { EXIT_USAGE = 2 };

static const char help[] =
    "Carousel serves LSTM models over HTTP.\n"
    "\n"
    "  carousel serve     [--config FILE] [--host H] [--port P] [--models DIR]... [--model NAME=PATH]...\n"
    "  carousel inspect   BUNDLE                what a bundle is, or why it is refused\n"
    "  carousel generate  [--model NAME] [--max-tokens N] [--temperature T] [--top-k K] [--top-p P]\n"
    "                     [--min-p P] [--n N] [--stop TEXT]... [--seed S] PROMPT    (- reads stdin)\n"
    "  carousel forecast  [--model NAME] [--horizon N] [--quantiles 0.1,0.5,0.9] [--num-samples N]\n"
    "                     [--seed S] VALUE...                       (null for a missing value)\n"
    "  carousel classify  [--model NAME] [--top-k K] TEXT...        (sequences: numbers on stdin)\n"
    "  carousel keys      add NAME [--scopes infer,metrics,admin] [--requests-per-minute N]\n"
    "                     [--steps-per-minute N] [--weight N] [--max-priority N]\n"
    "                                          print a new API key, keep its hash\n"
    "  carousel keys      list                  names and terms of the API keys (both: --keys FILE)\n"
    "  carousel health    [--host H] [--port P]  0 where the server of these settings is ready, else 1\n"
    "\n"
    "Every command takes --config FILE, --models DIR, --model NAME=PATH and --set section.key=value.\n"
    "\n"
    "  carousel --check-config [--config FILE]  check the settings, say nothing if they are good\n"
    "  carousel --print-config [--config FILE]  print the settings in force, as a file with comments\n"
    "  carousel --version, --help\n"
    "\n"
    "A setting is taken from a flag, else the environment (CAROUSEL_SECTION_KEY), else the file, else\n"
    "its default.\n";

/* OpenBLAS chooses its kernels when it is loaded, and may choose badly; its environment variable is read
 * then. So where it is to be used and is wrong, run this program once more with the variable set. */
static void mend_openblas(const struct config *config, char **argv)
{
    const char *advice = kernels_openblas_advice();
    if (strcmp(config->scheduler_kernels, "openblas") || !advice || getenv("OPENBLAS_CORETYPE")) return;
    if (setenv("OPENBLAS_CORETYPE", advice, 1) == 0) execv("/proc/self/exe", argv);
}

static int fail(const struct error *err, int code)
{
    fprintf(stderr, "carousel: %s\n", err->message);
    return code;
}

/* The last part of a path: the name that a model has in a folder of bundles. */
static void base_name(const char *path, char *out, size_t size)
{
    size_t end = strlen(path);
    while (end > 0 && path[end - 1] == '/') end--;
    size_t begin = end;
    while (begin > 0 && path[begin - 1] != '/') begin--;
    snprintf(out, size, "%.*s", (int)(end - begin), path + begin);
}

static int inspect(const struct arguments *arguments, const struct config *config)
{
    struct error err;
    if (arguments->n_values != 1) {
        fprintf(stderr, "carousel: inspect takes one BUNDLE, a folder\n");
        return EXIT_USAGE;
    }
    const char *path = arguments->values[0];
    enum precision precision;
    char name[MODEL_NAME_BYTES + 1];
    base_name(path, name, sizeof name);
    enum status status = per_model_precision(config->models_precision, name, &precision, &err);
    if (status == STATUS_OK) status = inspect_print(path, precision, stdout, &err);
    return status == STATUS_OK ? 0 : fail(&err, 1);
}

/* `original` is argv before arguments_parse reorders it. */
static int run(int argc, char **argv, char **original)
{
    static struct arguments arguments;
    static struct config config;
    struct error err;
    if (arguments_parse(argc, argv, &arguments, &err) != STATUS_OK) return fail(&err, EXIT_USAGE);
    if (arguments.help || arguments.version) {
        if (arguments.help) fputs(help, stdout);
        else printf("carousel %s\n", server_version());
        return 0;
    }
    if (arguments_config(&arguments, &config, &err) != STATUS_OK) return fail(&err, EXIT_USAGE);
    if (arguments.print_config) config_print(&config, stdout);
    if (arguments.print_config || arguments.check_config) return 0;
    if (arguments.command == COMMAND_INSPECT) return inspect(&arguments, &config);
    if (arguments.command == COMMAND_KEYS) return keys_command(&arguments, &config);
    if (arguments.command == COMMAND_HEALTH) return health_run(&config);
    if (arguments.command == COMMAND_NONE) {
        fputs(help, stderr);
        return EXIT_USAGE;
    }
    mend_openblas(&config, original);
    return arguments.command == COMMAND_SERVE ? server_run(&config) : cli_run(&arguments, &config);
}

/* Where a standard stream is closed, the next file or socket would take its place, and what is printed would
 * go there. */
static void keep_streams(void)
{
    int descriptor;
    do descriptor = open("/dev/null", O_RDWR);
    while (descriptor >= 0 && descriptor <= STDERR_FILENO);
    if (descriptor >= 0) close(descriptor);
}

int main(int argc, char **argv)
{
    keep_streams();
    char **original = calloc((size_t)argc + 1, sizeof *original);
    if (!original) return 1;
    memcpy(original, argv, (size_t)argc * sizeof *original);
    int code = run(argc, argv, original);
    free(original);
    return code;
}
