/* The help texts and the completion of bash, both made from the tables of commands and options. */
#include "server/cli/help.h"

#include <string.h>

enum { EXIT_USAGE = 2, COMMAND_COLUMN = 24, OPTION_COLUMN = 26 };

static const struct {
    const char *follows, *text, *more;
} commands[] = {
#define COMMAND(symbol, name, follows, takes_values, text, more) [COMMAND_##symbol] = {follows, text, more},
#include "server/cli/commands.def"
};

static bool goes_only_with(const struct option *option, enum command command)
{
    return option->commands >> command & 1;
}

/* ---- for people ----------------------------------------------------------------------------- */

static void print_option(const struct option *option, FILE *out)
{
    char whole[64];
    snprintf(whole, sizeof whole, "%s%s%s", option->name, option->value ? " " : "",
             option->value ? option->value : "");
    fprintf(out, "  %-*s %s\n", OPTION_COLUMN, whole, option->text);
}

static void print_common_options(FILE *out)
{
    const struct option *option;
    fputs("Every command takes:\n", out);
    for (size_t i = 0; (option = arguments_option(i)); i++)
        if (!option->commands) print_option(option, out);
}

static void print_command(enum command command, FILE *out)
{
    const struct option *option;
    bool any = false;
    fprintf(out, "carousel %s%s: %s.\n%s\n", command_name(command), commands[command].follows,
            commands[command].text, commands[command].more);
    for (size_t i = 0; (option = arguments_option(i)); i++) {
        if (!goes_only_with(option, command)) continue;
        if (!any) fputs("Options:\n", out);
        any = true;
        print_option(option, out);
    }
    if (any) fputc('\n', out);
    print_common_options(out);
}

void help_print(enum command command, FILE *out)
{
    if (command != COMMAND_NONE) {
        print_command(command, out);
        return;
    }
    fputs("Carousel serves LSTM models over HTTP.\n\n", out);
    for (int c = COMMAND_NONE + 1; c < N_COMMANDS; c++) {
        char whole[64];
        snprintf(whole, sizeof whole, "%s%s", command_name((enum command)c), commands[c].follows);
        fprintf(out, "  carousel %-*s %s\n", COMMAND_COLUMN, whole, commands[c].text);
    }
    fputs("\ncarousel help COMMAND lists the options of one.\n\n", out);
    print_common_options(out);
    fputs("\nA setting is taken from a flag, else the environment (CAROUSEL_SECTION_KEY), else the file,\n"
          "else its default.\n",
          out);
}

/* ---- for bash ------------------------------------------------------------------------------- */

/* The names of commands with `between` after each but the last. */
static void print_commands(FILE *out, const char *between)
{
    for (int c = COMMAND_NONE + 1; c < N_COMMANDS; c++)
        fprintf(out, "%s%s", c == COMMAND_NONE + 1 ? "" : between, command_name((enum command)c));
}

/* A branch of a case for the options whose value is called `value`; NULL: any value. */
static void print_branch(FILE *out, const char *value, const char *does)
{
    const struct option *option;
    bool any = false;
    fputs("    ", out);
    for (size_t i = 0; (option = arguments_option(i)); i++) {
        if (!option->value || (value && strcmp(option->value, value))) continue;
        fprintf(out, "%s%s", any ? "|" : "", option->name);
        any = true;
    }
    fprintf(out, ") %s; return ;;\n", does);
}

/* What may follow a command, besides options. */
static void print_words(FILE *out)
{
    fputs("    ''|help) words='", out);
    print_commands(out, " ");
    fputs("' ;;\n    keys) words='add list' ;;\n    completion) words=bash ;;\n"
          "    inspect) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- \"$word\") ;;\n"
          "    import) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$word\") ;;\n",
          out);
}

/* The options of a command only, or, for COMMAND_NONE, those of all. */
static void print_options_of(FILE *out, enum command command)
{
    const struct option *option;
    for (size_t i = 0; (option = arguments_option(i)); i++)
        if (command == COMMAND_NONE ? !option->commands : goes_only_with(option, command))
            fprintf(out, " %s", option->name);
}

static void print_options(FILE *out)
{
    fputs("        words='", out);
    print_options_of(out, COMMAND_NONE);
    fputs("'\n        case $command in\n", out);
    for (int c = COMMAND_NONE + 1; c < N_COMMANDS; c++) {
        fprintf(out, "        %s) words+='", command_name((enum command)c));
        print_options_of(out, (enum command)c);
        fputs("' ;;\n", out);
    }
    fputs("        esac\n", out);
}

static void print_settings(FILE *out)
{
    const struct config_row *row;
    fputs("    --set) compopt -o nospace; mapfile -t COMPREPLY < <(compgen -W '", out);
    for (size_t i = 0; (row = config_row(i)); i++)
        if (row->key) fprintf(out, " %s.%s=", row->section, row->key);
    fputs("' -- \"$word\"); return ;;\n", out);
}

void help_print_completion(FILE *out)
{
    fputs("# Completion of carousel's command lines for bash: carousel completion bash prints it.\n"
          "_carousel()\n{\n"
          "    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}\n"
          "    local command='' words='' i\n"
          "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
          "        case ${COMP_WORDS[i]} in\n        ",
          out);
    print_commands(out, "|");
    fputs(") command=${COMP_WORDS[i]}; break ;;\n        esac\n    done\n    case $before in\n", out);
    print_settings(out);
    print_branch(out, "FILE", "compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"$word\")");
    print_branch(out, "DIR", "compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- \"$word\")");
    print_branch(out, NULL, "COMPREPLY=()");
    fputs("    esac\n    case $command in\n", out);
    print_words(out);
    fputs("    esac\n    if [[ $word == -* ]]; then\n", out);
    print_options(out);
    fputs("    fi\n"
          "    [ -z \"$words\" ] || mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$word\")\n"
          "}\ncomplete -F _carousel carousel\n",
          out);
}

/* ---- both ----------------------------------------------------------------------------------- */

static int refuse(const char *expected)
{
    fprintf(stderr, "carousel: %s; see carousel help\n", expected);
    return EXIT_USAGE;
}

int help_run(const struct arguments *arguments)
{
    enum command command = arguments->command;
    if (!arguments->help && command == COMMAND_COMPLETION) {
        if (arguments->n_values != 1 || strcmp(arguments->values[0], "bash"))
            return refuse("completion is there for bash only; expected: carousel completion bash");
        help_print_completion(stdout);
        return 0;
    }
    if (!arguments->help && command == COMMAND_HELP) {
        command = COMMAND_NONE;
        if (arguments->n_values > 1) return refuse("help takes one COMMAND");
        if (arguments->n_values && (command = command_find(arguments->values[0])) == COMMAND_NONE) {
            fprintf(stderr, "carousel: there is no command %.80s; see carousel help\n", arguments->values[0]);
            return EXIT_USAGE;
        }
    }
    help_print(command, stdout);
    return 0;
}
