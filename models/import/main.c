/* carousel-import: the command line of import. Exit codes: 0 the bundle is written and the server's loader
 * has proved it, 1 refused, 2 asked wrongly, or a fact is missing that a flag gives. */
#include <stdio.h>
#include <string.h>

#include "models/import/confine.h"
#include "models/import/import.h"
#include "models/text/sentence.h"

enum { EXIT_REFUSED = 1, EXIT_USAGE = 2 };

static const struct flag {
    const char *name;
    size_t offset;
    bool takes_value;
    const char *value, *text;
} flags[] = {
#define AT(member) offsetof(struct options, member)
    {"-o", AT(output), true, "BUNDLE", "the folder to write; it must not be there yet"},
    {"--task", AT(task), true, "T",
     "what the model does, as config.json has it; often it follows from the network"},
    {"--pooling", AT(pooling), true, "MODE",
     "how steps become one vector: last, last_step, middle, mean, max or sum"},
    {"--tokenizer", AT(tokenizer), true, "FILE|WORD",
     "the vocabulary: a token a line, JSON, a pickle, Keras' Tokenizer; or bytes;\n"
     "                             or characters or words, which the checkpoint holds beside the model"},
    {"--split", AT(split), true, "WAY", "how texts were cut into words: words, the default, or whitespace"},
    {"--ngrams", AT(ngrams), true, "N|a,b",
     "neighbours are tokens too: up to N words or letters, or of these lengths"},
    {"--target-tokenizer", AT(target_tokenizer), true, "FILE",
     "of a translation: the vocabulary of the decoder, if it is another"},
    {"--bos", AT(bos), true, "TOKEN", "stands before each text, or, of a translation, each target"},
    {"--eos", AT(eos), true, "TOKEN", "ends each text, or, of a translation, each target"},
    {"--source-bos", AT(source_bos), true, "TOKEN",
     "of a translation with two vocabularies: before each source"},
    {"--source-eos", AT(source_eos), true, "TOKEN", "and behind it"},
    {"--initial-state", AT(initial_state), true, "zero|encoder",
     "of a translation: what the decoder begins with"},
    {"--lowercase", AT(lowercase), false, "", "texts are lowered, as in training"},
    {"--labels", AT(labels), true, "FILE|a,b", "the classes, in the order of training"},
    {"--activation", AT(activation), true, "F", "of a classification: softmax or sigmoid"},
    {"--scaler", AT(scaler), true, "FILE", "JSON of mean and scale, or a pickled scaler of scikit-learn"},
    {"--pad", AT(pad), true, "none|left:N|right:N",
     "how texts were padded in training; left:N:TOKEN names the token"},
    {"--columns", AT(columns), true, "a:ROLE,b:ROLE",
     "of a forecaster that reads several numbers a step: their names, and target, past or\n"
     "                             future; future+1 if a step reads the value of the next one"},
    {"--horizon", AT(horizon), true, "N", "of a forecaster: the steps that one output tells of"},
    {"--levels", AT(levels), true, "0.1,0.5,0.9", "of a forecaster whose outputs are quantiles"},
    {"--shape", AT(shape), true, "step,column,level", "the axes of a forecast; the last moves fastest"},
    {"--context", AT(context), true, "N", "of a forecaster: the values that it reads"},
    {"--network", AT(network), true, "FILE",
     "the layers, as in config.json, if the file does not say their order"},
    {"--gates", AT(gates), true, "ORDER",
     "of foreign weights: the order of the gates, such as ifgo of an LSTM (g: the\n"
     "                             candidate), zrn of a GRU"},
    {"--golden", AT(golden), true, "FILE", "inputs and outputs of the model, as golden.json has them"},
    {"--precision", AT(precision), true, "P",
     "that the bundle recommends: float32, float16, bfloat16 or int8"},
    {"--description", AT(description), true, "TEXT", "a sentence for the card"},
    {"--dry-run", AT(dry_run), false, "", "print what would be made, and write nothing"},
    {"--help", AT(help), false, "", "print this"},
#undef AT
};
enum { N_FLAGS = sizeof flags / sizeof *flags };

static void print_help(FILE *out)
{
    fputs("usage: carousel import FILE|FOLDER [OPTION...]\n\n"
          "Make a bundle of a model of PyTorch (.pt, .pt2, .bin, .ckpt, .safetensors), NumPy (.npz), JSON "
          "of arrays, Keras (.h5, .keras) or ONNX.\n\n",
          out);
    for (size_t i = 0; i < N_FLAGS; i++)
        fprintf(out, "  %-13s %-12s %s\n", flags[i].name, flags[i].value, flags[i].text);
    fputs("\nExit codes: 0 written, and proved by the server's loader; 1 refused; 2 a fact is missing, and "
          "the message\n"
          "names the flag that gives it.\n",
          out);
}

static const struct flag *find_flag(const char *argument, size_t bytes)
{
    for (size_t i = 0; i < N_FLAGS; i++)
        if (strlen(flags[i].name) == bytes && memcmp(flags[i].name, argument, bytes) == 0) return &flags[i];
    return NULL;
}

/* false with a sentence on stderr. */
static bool parse(int argc, char **argv, struct options *options)
{
    for (int i = 1; i < argc; i++) {
        const char *argument = argv[i], *equals = strncmp(argument, "--", 2) ? NULL : strchr(argument, '=');
        if (argument[0] != '-' || argument[1] == '\0') {
            if (options->file) {
                fprintf(stderr, "carousel import: one FILE, found '%s' and '%s'\n", options->file, argument);
                return false;
            }
            options->file = argument;
            continue;
        }
        const struct flag *flag =
            find_flag(argument, equals ? (size_t)(equals - argument) : strlen(argument));
        if (!flag || (equals && !flag->takes_value) || (flag->takes_value && !equals && i + 1 == argc)) {
            fprintf(stderr, "carousel import: option '%s' %s; see carousel import --help\n", argument,
                    flag ? flag->takes_value ? "needs a value" : "has no value" : "is not known");
            return false;
        }
        char *at = (char *)options + flag->offset;
        if (!flag->takes_value) *(bool *)(void *)at = true;
        else *(const char **)(void *)at = equals ? equals + 1 : argv[++i];
    }
    if (options->file || options->help) return true;
    fprintf(stderr, "carousel import: FILE is missing; see carousel import --help\n");
    return false;
}

/* The message may hold names out of the file, so what could move a cursor is not printed. */
static void print_message(const char *message)
{
    bool plain = sentence_is_plain(message, strlen(message));
    fputs("carousel import: ", stderr);
    for (const char *c = message; *c; c++) fputc(plain || (*c >= ' ' && *c < 0x7f) ? *c : '?', stderr);
    fputc('\n', stderr);
}

int main(int argc, char **argv)
{
    struct options options = {0};
    struct error err = {.message = ""};
    if (!parse(argc, argv, &options)) return EXIT_USAGE;
    if (options.help) {
        print_help(stdout);
        return 0;
    }
    confine(&options);
    if (import_run(&options, stdout, &err) == STATUS_OK) return 0;
    fflush(stdout);
    print_message(err.message);
    return *err.param ? EXIT_USAGE : EXIT_REFUSED;
}
