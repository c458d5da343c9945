/* carousel: the command line's entry.
 *
 * Order of a start: arguments -> configuration -> (OpenBLAS's environment) -> the command. */
#define _GNU_SOURCE /* execv of /proc/self/exe with the environment */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/kernels/kernels.h"
#include "models/bundle/inspect.h"
#include "models/repository/per_model.h"
#include "server/cli/arguments.h"
#include "server/cli/cli.h"
#include "server/cli/help.h"
#include "server/cli/keys_command.h"
#include "server/health.h"
#include "server/serve.h"

enum { EXIT_USAGE = 2, NAME_BYTES = 256, PATH_BYTES = 4096 };

/* A SIGHUP that comes before server_run waits for signals stays pending; commands are ended by it. */
static void mask_hangup(int how)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    pthread_sigmask(how, &set, NULL);
}

/* OpenBLAS chooses its kernels when it is loaded, and may choose badly; its environment variable is read
 * then. So if it is to be used and is wrong, run this program once more with the variable set. */
static void mend_openblas(const struct config *config, char **argv)
{
    if (strcmp(config->scheduler_kernels, "openblas") || getenv("OPENBLAS_CORETYPE")) return;
    const char *advice = kernels_openblas_advice();
    if (advice && setenv("OPENBLAS_CORETYPE", advice, 1) == 0) execv("/proc/self/exe", argv);
}

static int fail(const struct error *err, int code)
{
    fprintf(stderr, "carousel: %s\n", err->message);
    return code;
}

/* The name that the model in `path` is served by: its folder's, or, of a version, the folder's above. */
static void served_name(const char *path, char *out, size_t size)
{
    char *whole = realpath(path, NULL), *end = whole ? strrchr(whole, '/') : NULL;
    if (end && end > whole && strspn(end + 1, "0123456789") == strlen(end + 1)) {
        *end = '\0';
        end = strrchr(whole, '/');
    }
    snprintf(out, size, "%s", end ? end + 1 : "model"); /* a folder that is not there is told as that */
    free(whole);
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
    char name[NAME_BYTES];
    served_name(path, name, sizeof name);
    enum status status = per_model_precision(config->models_precision, name, &precision, &err);
    if (status == STATUS_OK) status = inspect_print(path, name, precision, stdout, &err);
    return status == STATUS_OK ? 0 : fail(&err, 1);
}

/* Whether the command needs no settings. */
static bool is_about_itself(const struct arguments *arguments)
{
    enum command command = arguments->command;
    return arguments->help || arguments->version || command == COMMAND_VERSION || command == COMMAND_HELP ||
           command == COMMAND_COMPLETION;
}

static int tell_about_itself(const struct arguments *arguments)
{
    bool version = arguments->version || arguments->command == COMMAND_VERSION;
    if (arguments->help || !version) return help_run(arguments);
    printf("carousel %s\n", server_version());
    return 0;
}

/* `original` is argv before arguments_parse reorders it. */
static int run(int argc, char **argv, char **original)
{
    static struct arguments arguments;
    static struct config config;
    struct error err;
    if (arguments_parse(argc, argv, &arguments, &err) != STATUS_OK) return fail(&err, EXIT_USAGE);
    if (arguments.command != COMMAND_SERVE) mask_hangup(SIG_UNBLOCK);
    if (is_about_itself(&arguments)) return tell_about_itself(&arguments);
    if (arguments_config(&arguments, &config, &err) != STATUS_OK) return fail(&err, EXIT_USAGE);
    if (arguments.print_config) config_print(&config, stdout);
    if (arguments.print_config || arguments.check_config) return 0;
    if (arguments.command == COMMAND_INSPECT) return inspect(&arguments, &config);
    if (arguments.command == COMMAND_KEYS) return keys_command(&arguments, &config);
    if (arguments.command == COMMAND_HEALTH) return health_run(&config);
    if (arguments.command == COMMAND_NONE) {
        help_print(COMMAND_NONE, stderr);
        return EXIT_USAGE;
    }
    mend_openblas(&config, original);
    return arguments.command == COMMAND_SERVE ? server_run(&config) : cli_run(&arguments, &config);
}

/* Run carousel-import, which lies beside this program, or where PATH says, with the arguments behind the
 * command. Returns if it is not there. */
static int import(char **argv)
{
    static const char NAME[] = "carousel-import";
    char path[PATH_BYTES];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - sizeof NAME - 1);
    path[n > 0 ? n : 0] = '\0';
    char *slash = strrchr(path, '/');
    argv[0] = (char *)NAME;
    if (slash) {
        memcpy(slash + 1, NAME, sizeof NAME);
        execv(path, argv);
    }
    execvp(NAME, argv);
    fprintf(stderr,
            "carousel: import is a program of its own, %s, which is not installed; "
            "install the package %s, or build it by make\n",
            NAME, NAME);
    return 1;
}

/* If a standard stream is closed, the next file or socket would take its place, and what is printed would
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
    bool imports = argc > 1 && !strcmp(argv[1], "import");
    if (!imports) mask_hangup(SIG_BLOCK); /* a program that is run in our place would keep the mask */
    keep_streams();
    char **original = calloc((size_t)argc + 1, sizeof *original);
    if (!original) return 1;
    memcpy(original, argv, (size_t)argc * sizeof *original);
    int code = imports ? import(argv + 1) : run(argc, argv, original);
    free(original);
    return code;
}
