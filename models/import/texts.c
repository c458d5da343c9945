#include "models/import/texts.h"

#include <stdlib.h>
#include <string.h>

#include "models/bundle/bundle.h"
#include "models/text/sentence.h"

/* ------------------------------------------------------------------------------------------
 * Padding */

/* Padding that was read like any id changes the answer, and only the training script knows it. */
enum status texts_padding(struct plan *plan, const struct options *options, struct card *card,
                          struct error *err)
{
    const char *wanted = options->pad;
    if (!wanted && plan->pads)
        return error_set_param(
            err, STATUS_BAD_VALUE, "pad",
            "the file does not say whether texts were padded in training, which changes answers because "
            "padding is not masked; if each text was read as it is, say so by --pad none; if zeros stood "
            "before or behind shorter ones, how long they were then by --pad left:N or --pad right:N");
    if (!wanted || strcmp(wanted, "none") == 0) return STATUS_OK;
    char *end = NULL;
    bool right = strncmp(wanted, "right:", 6) == 0, left = strncmp(wanted, "left:", 5) == 0;
    long length = left || right ? strtol(wanted + 5 + right, &end, 10) : 0;
    if (length < 1 || length > BUNDLE_MAX_PAD || (*end && *end != ':') || strcmp(end, ":") == 0)
        return error_set_param(
            err, STATUS_BAD_VALUE, "pad",
            "--pad '%.40s': expected none, left:N or right:N with N from 1 to %d, or left:N:TOKEN", wanted,
            (int)BUNDLE_MAX_PAD);
    if (strcmp(card->task, "text-classification") && strcmp(card->task, "translation"))
        return error_set(err, STATUS_UNSUPPORTED, "--pad %.40s: the server pads no texts of task '%s'",
                         wanted, card->task);
    if (plan->masks) {
        report_ignored(plan->report, wanted, "padding is masked (mask_zero), so none is needed");
        return STATUS_OK;
    }
    for (size_t i = 0; i < plan->n_parts; i++)
        if (!strcmp(plan->parts[i].type, "flatten") && (size_t)length != plan->window)
            return error_set_param(err, STATUS_BAD_VALUE, "pad", "--pad %.40s: %.80s reads %zu steps", wanted,
                                   plan->parts[i].origin, plan->window);
    card->pad_length = (size_t)length;
    card->pads_right = right;
    card->pad = *end ? end + 1 : NULL;
    return STATUS_OK;
}

/* The token that padding is: the one that --pad names, or the vocabulary's own. */
static enum status settle_pad_token(struct plan *plan, struct card *card, struct error *err)
{
    static const char *const usual[] = {"<pad>", "[PAD]", "<PAD>", "PAD"};
    const struct vocabulary *vocabulary = &card->vocabulary;
    const char *const *names = card->pad ? &card->pad : usual;
    size_t n = card->pad ? 1 : sizeof usual / sizeof *usual;
    if (card->pad_length == 0) return STATUS_OK;
    report_fact(plan->report, "pad_length", pool_print(plan->pool, "%zu, on the %s", card->pad_length,
                                                       card->pads_right ? "right" : "left"), "from --pad");
    for (size_t i = 0; i < n; i++)
        for (size_t id = 0; id < vocabulary->n; id++) {
            if (strcmp(vocabulary->items[id], names[i])) continue;
            card->pad = names[i];
            card->pad_id = id;
            report_fact(plan->report, "pad_token", names[i],
                        pool_print(plan->pool, "id %zu of the vocabulary", id));
            return STATUS_OK;
        }
    if (!vocabulary->n && card->pad && card->pad[0] && !card->pad[1]) { /* bytes */
        card->pad_id = (uint8_t)card->pad[0];
        return STATUS_OK;
    }
    return error_set_param(err, STATUS_BAD_VALUE, "pad",
                           "the vocabulary has no token '%.40s'; name the token that stood beside shorter "
                           "texts by --pad %s:%zu:TOKEN",
                           card->pad ? card->pad : usual[0], card->pads_right ? "right" : "left",
                           card->pad_length);
}

/* ------------------------------------------------------------------------------------------
 * Vocabularies */

/* An entry of several words, which single words cannot give. */
static const char *find_words(const struct vocabulary *vocabulary)
{
    for (size_t i = 0; i < vocabulary->n; i++) {
        const char *space = strchr(vocabulary->items[i], ' ');
        if (space && space > vocabulary->items[i] && space[1] && vocabulary->items[i][0] != '<')
            return vocabulary->items[i];
    }
    return NULL;
}

/* --ngrams: a number, or lengths with commas between. */
static enum status read_ngrams(const char *text, struct vocabulary *vocabulary, struct error *err)
{
    bool listed = strchr(text, ',') != NULL;
    for (const char *at = text; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        char *end;
        long length = strtol(at, &end, 10);
        if (*at < '1' || *at > '9' || (*end && *end != ',') || length > TOKENIZER_MAX_NGRAM ||
            vocabulary->n_ngrams == TOKENIZER_MAX_NGRAM)
            return error_set_param(err, STATUS_BAD_VALUE, "ngrams",
                                   "--ngrams '%.40s': expected a number from 1 to %d, or several such as 2,3",
                                   text, (int)TOKENIZER_MAX_NGRAM);
        for (long i = listed ? length : 1; i <= length; i++)
            vocabulary->ngrams[vocabulary->n_ngrams++] = (size_t)i;
    }
    return STATUS_OK;
}

/* How texts are cut, and which neighbours are tokens too. */
static enum status settle_cutting(struct plan *plan, const struct options *options, struct card *card,
                                  struct error *err)
{
    struct vocabulary *vocabulary = &card->vocabulary;
    bool words = strcmp(vocabulary->type, "words") == 0 && !vocabulary->splits;
    if (options->split &&
        (!words || (strcmp(options->split, "whitespace") && strcmp(options->split, "words"))))
        return error_set_param(err, STATUS_BAD_VALUE, "split",
                               "--split '%.40s': expected words or whitespace, of a vocabulary of words",
                               options->split);
    if (options->split) vocabulary->type = strcmp(options->split, "words") ? "whitespace" : "words";
    const char *several = vocabulary->type[0] == 'w' ? find_words(vocabulary) : NULL;
    if (several && !options->ngrams)
        return error_set_param(
            err, STATUS_BAD_VALUE, "ngrams",
            "the vocabulary has entries of several words, such as '%.80s'; say how many words an entry has "
            "at most by --ngrams 2 (--ngrams 1: such entries are never read)",
            several);
    if (!options->ngrams) return STATUS_OK;
    enum status status = read_ngrams(options->ngrams, vocabulary, err);
    if (status != STATUS_OK) return status;
    if (vocabulary->n_ngrams == 1 && vocabulary->ngrams[0] == 1) vocabulary->n_ngrams = 0;
    else if (strcmp(card->task, "text-classification"))
        return error_set(err, STATUS_UNSUPPORTED, "--ngrams %.40s: task '%s' reads single tokens",
                         options->ngrams, card->task);
    report_fact(plan->report, "ngrams", options->ngrams, "from --ngrams");
    return STATUS_OK;
}

/* A token that --bos or its like names must be one of the vocabulary. */
static enum status settle_special(const struct vocabulary *vocabulary, const char *flag, const char *token,
                                  const char **out, struct plan *plan, struct error *err)
{
    char quoted[QUOTE_BYTES];
    if (!token) return STATUS_OK;
    bool found = vocabulary->n == 0 && token[0] && !token[1]; /* bytes */
    for (size_t i = 0; i < vocabulary->n; i++) found = found || strcmp(vocabulary->items[i], token) == 0;
    sentence_quote(quoted, token, strlen(token));
    if (!found)
        return error_set_param(err, STATUS_BAD_VALUE, flag, "--%s: the vocabulary has no token %s", flag,
                               quoted);
    *out = token;
    report_fact(plan->report, flag, pool_text(plan->pool, quoted, strlen(quoted)), "from the command line");
    return STATUS_OK;
}

/* Id 0 of a network that masks is padding, and no text gives it. */
static void settle_mask(struct plan *plan, struct vocabulary *vocabulary)
{
    if (!plan->masks || !vocabulary->n || !strcmp(vocabulary->items[0], "<pad>")) return;
    report_ignored(plan->report, vocabulary->items[0],
                   "id 0 is padding (mask_zero), which no text gives");
    vocabulary->items[0] = "<pad>";
}

/* What a decoder has beside its network: perhaps a vocabulary of its own, tokens that begin and end a target,
 * and what its layers begin with. */
static enum status settle_decoder(struct plan *plan, const struct options *options, struct card *card,
                                  struct error *err)
{
    size_t ids = plan->parts[plan->n_encoder].in;
    bool attends = false, two_ways = false;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < plan->n_parts; i++) {
        if (i >= plan->n_encoder && plan_source(plan, i, 0) == SOURCE_INPUT &&
            plan_reads_ids(&plan->parts[i]))
            ids = plan->parts[i].in;
        attends = attends || strcmp(plan->parts[i].type, "attention") == 0;
        two_ways = two_ways || (i < plan->n_encoder && plan->parts[i].n_directions > 1);
    }
    if (options->target_tokenizer) {
        status = card_vocabulary(options->target_tokenizer, ids, options->lowercase, plan->checkpoint,
                                 plan->pool, &card->target, err);
        card->has_target = true;
        if (status == STATUS_OK)
            report_fact(plan->report, "target_tokenizer", card->target.type, card->target.from);
    }
    const char *state = options->initial_state;
    if (state && strcmp(state, "zero") && strcmp(state, "encoder"))
        return error_set_param(err, STATUS_BAD_VALUE, "initial-state",
                               "--initial-state '%.40s': expected zero or encoder", state);
    if (status == STATUS_OK && !state && attends && !two_ways)
        return error_set_param(
            err, STATUS_BAD_VALUE, "initial-state",
            "the file does not say what the decoder begins with; say it by --initial-state "
            "encoder (the states that the encoder ends with) or --initial-state zero");
    plan->begins = state ? strcmp(state, "encoder") == 0 : !attends;
    if (status == STATUS_OK && (!options->bos || !options->eos))
        return error_set_param(
            err, STATUS_BAD_VALUE, options->bos ? "eos" : "bos",
            "a target begins with one token and ends with another, which the file does not "
            "say; name them by --bos TOKEN and --eos TOKEN");
    return status;
}

enum status texts_settle(struct plan *plan, const struct options *options, struct card *card,
                         struct error *err)
{
    size_t size = plan_input(plan)->in;
    if (!options->tokenizer)
        return error_set_param(
            err, STATUS_BAD_VALUE, "tokenizer",
            "the file does not say which texts its %zu ids stand for; give the vocabulary by "
            "--tokenizer FILE, with one token a line or as JSON, or --tokenizer bytes",
            size);
    enum status status = card_vocabulary(options->tokenizer, size, options->lowercase, plan->checkpoint,
                                         plan->pool, &card->vocabulary, err);
    if (status == STATUS_OK) status = settle_cutting(plan, options, card, err);
    if (status == STATUS_OK && plan->n_encoder) status = settle_decoder(plan, options, card, err);
    if (status != STATUS_OK) return status;
    card->has_vocabulary = true;
    settle_mask(plan, &card->vocabulary);
    report_fact(plan->report, "tokenizer", card->vocabulary.type, card->vocabulary.from);
    if (card->vocabulary.note) report_ignored(plan->report, "other cases", card->vocabulary.note);
    if ((options->source_bos || options->source_eos) && !card->has_target)
        return error_set(err, STATUS_BAD_VALUE, "--source-bos and --source-eos are for a translation with a "
                                                "--target-tokenizer");
    struct vocabulary *writes = card->has_target ? &card->target : &card->vocabulary;
    status = settle_special(writes, "bos", options->bos, &writes->bos, plan, err);
    if (status == STATUS_OK) status = settle_special(writes, "eos", options->eos, &writes->eos, plan, err);
    if (status == STATUS_OK)
        status = settle_special(&card->vocabulary, "source-bos", options->source_bos, &card->vocabulary.bos,
                                plan, err);
    if (status == STATUS_OK)
        status = settle_special(&card->vocabulary, "source-eos", options->source_eos, &card->vocabulary.eos,
                                plan, err);
    return status == STATUS_OK ? settle_pad_token(plan, card, err) : status;
}
