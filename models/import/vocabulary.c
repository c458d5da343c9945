/* The files that --tokenizer and --scaler name. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "models/formats/pickle.h"
#include "models/import/card.h"
#include "models/text/json.h"
#include "models/text/sentence.h"
#include "models/text/utf8.h"

enum { MAX_FILE = 1 << 26 };

/* ------------------------------------------------------------------------------------------
 * Vocabularies */

static const struct json *member(const struct json *object, const char *key, enum json_kind kind)
{
    if (!object || json_kind(object) != JSON_OBJECT) return NULL;
    for (const struct json *m = json_first(object); m; m = json_next(m))
        if (strcmp(json_key(m), key) == 0 && json_kind(m) == kind) return m;
    return NULL;
}

static enum status put(struct vocabulary *out, struct pool *pool, size_t id, const char *text,
                       struct error *err)
{
    if (id >= out->n || out->items[id])
        return error_set(err, STATUS_BAD_VALUE,
                         "--tokenizer: id %zu is there twice, or the network has only %zu ids", id, out->n);
    out->items[id] = pool_text(pool, text, strlen(text));
    return out->items[id] ? STATUS_OK : pool_spent(err);
}

static enum status read_object(const struct json *object, struct pool *pool, struct vocabulary *out,
                               size_t limit, struct error *err)
{
    enum status status = STATUS_OK;
    for (const struct json *m = json_first(object); m && status == STATUS_OK; m = json_next(m)) {
        double id = json_kind(m) == JSON_NUMBER ? json_number(m) : -1;
        if (!(id >= 0) || id > CARD_MAX_VOCABULARY || id != floor(id))
            return error_set(err, STATUS_BAD_VALUE,
                             "--tokenizer: expected an object of tokens and their ids");
        if ((size_t)id < limit) status = put(out, pool, (size_t)id, json_key(m), err);
    }
    return status;
}

/* Keras' Tokenizer, from JSON or from a pickle: what it does beside its word_index. */
struct keras_tokenizer {
    const char *filters, *split, *oov; /* NULL: left out */
    bool characters, keeps_case, analyses;
    double num_words; /* 0: all; it counts id 0 */
};

/* What it leaves out by default. */
static const char DEFAULT_FILTERS[] = "!\"#$%&()*+,-./:;<=>?@[\\]^_`{|}~\t\n";

/* Ids of words from num_words on are never given. */
static size_t keras_limit(const struct keras_tokenizer *k)
{
    return k->num_words > 0 && k->num_words < CARD_MAX_VOCABULARY ? (size_t)k->num_words : SIZE_MAX;
}

/* Whether lowering as Python does it, of letters beyond ASCII too, may reach an entry. */
static bool has_letters_beyond(const struct vocabulary *out)
{
    for (size_t i = 0; i < out->n; i++)
        for (const char *c = out->items[i]; c && *c; c++)
            if ((uint8_t)*c >= 0x80) return true;
    return false;
}

/* Serve texts as texts_to_sequences() reads them: what has no id is left out, unless there is an oov_token.
 */
static enum status settle_keras(const struct keras_tokenizer *k, struct pool *pool, struct vocabulary *out,
                                struct error *err)
{
    uint32_t point;
    const char *filters = k->filters ? k->filters : DEFAULT_FILTERS, *between = k->split ? k->split : " ";
    size_t n = strlen(between);
    if (k->analyses)
        return error_set(
            err, STATUS_UNSUPPORTED,
            "--tokenizer: Keras' tokenizer has an analyzer of its own, a function of Python, which is "
            "not served; make the ids in the client, and see accepts_token_ids in "
            "docs/bundle-format.md");
    if (!k->characters && (n == 0 || utf8_decode(between, n, &point) != n))
        return error_set(
            err, STATUS_UNSUPPORTED,
            "--tokenizer: Keras' tokenizer splits at '%.40s', and only a split of one character is "
            "served",
            between);
    out->splits = true;
    out->lowercase = !k->keeps_case;
    if (k->oov && !(out->unk = pool_text(pool, k->oov, strlen(k->oov)))) return pool_spent(err);
    out->type = k->characters ? "characters" : "words_keras";
    out->unknown = k->characters && !k->oov ? "skip" : NULL;
    /* Filters become the split, and texts are cut there: no other character lies between words. */
    if (!k->characters && !(out->filters = pool_print(pool, "%s%s", filters, between)))
        return pool_spent(err);
    if (out->lowercase && has_letters_beyond(out))
        out->note = "Keras lowers all letters; here capitals beyond ASCII are other letters";
    return STATUS_OK;
}

static enum status read_keras(const struct json *config, struct pool *pool, struct vocabulary *out,
                              struct error *err)
{
    const struct json *index = member(config, "word_index", JSON_STRING),
                      *most = member(config, "num_words", JSON_NUMBER);
    const struct json *oov = member(config, "oov_token", JSON_STRING),
                      *level = member(config, "char_level", JSON_BOOLEAN);
    const struct json *lower = member(config, "lower", JSON_BOOLEAN),
                      *filters = member(config, "filters", JSON_STRING),
                      *between = member(config, "split", JSON_STRING);
    const struct keras_tokenizer keras = {.filters = filters ? json_string(filters) : NULL,
                                          .split = between ? json_string(between) : NULL,
                                          .oov = oov ? json_string(oov) : NULL,
                                          .characters = level && json_boolean(level),
                                          .keeps_case = lower && !json_boolean(lower),
                                          .num_words = most ? json_number(most) : 0};
    struct json *words;
    if (!index) return error_set(err, STATUS_BAD_VALUE, "--tokenizer: Keras' tokenizer has no word_index");
    enum status status = json_parse(json_string(index), strlen(json_string(index)), &words, err);
    if (status != STATUS_OK) return status;
    if (json_kind(words) != JSON_OBJECT)
        status = error_set(err, STATUS_BAD_VALUE, "--tokenizer: word_index is no object");
    else status = read_object(words, pool, out, keras_limit(&keras), err);
    json_free(words);
    out->from = "Keras' Tokenizer.to_json()";
    return status == STATUS_OK ? settle_keras(&keras, pool, out, err) : status;
}

static enum status read_json(const char *text, size_t bytes, struct pool *pool, struct vocabulary *out,
                             struct error *err)
{
    struct json *root;
    enum status status = json_parse(text, bytes, &root, err);
    if (status != STATUS_OK) {
        error_prefix(err, "--tokenizer");
        return status;
    }
    const struct json *config = member(root, "config", JSON_OBJECT);
    size_t id = 0;
    if (config) {
        status = read_keras(config, pool, out, err);
    } else if (json_kind(root) == JSON_OBJECT) {
        status = read_object(root, pool, out, SIZE_MAX, err);
    } else if (json_kind(root) == JSON_ARRAY) {
        for (const struct json *v = json_first(root); v && status == STATUS_OK; v = json_next(v))
            status = json_kind(v) == JSON_STRING
                         ? put(out, pool, id++, json_string(v), err)
                         : error_set(err, STATUS_BAD_VALUE, "--tokenizer: entry %zu is no string", id);
    } else {
        status = error_set(err, STATUS_BAD_VALUE, "--tokenizer: expected an array or an object");
    }
    json_free(root);
    return status;
}

/* ------------------------------------------------------------------------------------------
 * Vocabularies in pickles: a list of texts, a dictionary one way or the other, or Keras' Tokenizer */

/* How many texts with an id a node holds; 0 if it is no vocabulary. */
static size_t count_texts(const struct node *node)
{
    if (node_is(node, NODE_LIST)) {
        for (size_t i = 0; i < node->n_items; i++)
            if (!node_is(node->items[i], NODE_TEXT)) return 0;
        return node->n_items;
    }
    if (!node_is_mapping(node) || node->n_items < 2 || node->n_items % 2) return 0;
    bool turned = node_is(node->items[0], NODE_INTEGER);
    for (size_t i = 0; i + 1 < node->n_items; i += 2)
        if (!node_is(node->items[i], turned ? NODE_INTEGER : NODE_TEXT) ||
            !node_is(node->items[i + 1], turned ? NODE_TEXT : NODE_INTEGER))
            return 0;
    return node->n_items / 2;
}

static enum status read_node(const struct node *node, struct pool *pool, struct vocabulary *out, size_t limit,
                             struct error *err)
{
    enum status status = STATUS_OK;
    bool list = node_is(node, NODE_LIST),
         turned = !list && node->n_items && node_is(node->items[0], NODE_INTEGER);
    if (count_texts(node) == 0)
        return error_set(err, STATUS_BAD_VALUE,
                         "--tokenizer: expected a list of tokens, or a dictionary of tokens and ids");
    for (size_t i = 0; i < node->n_items && status == STATUS_OK; i += list ? 1 : 2) {
        const struct node *text = list || !turned ? node->items[i] : node->items[i + 1];
        int64_t id = list ? (int64_t)i : node->items[turned ? i : i + 1]->integer;
        if (id >= 0 && (uint64_t)id < limit) status = put(out, pool, (size_t)id, text->text, err);
    }
    return status;
}

/* Keras' Tokenizer of a pickle. */
static enum status read_keras_node(const struct node *tokenizer, struct pool *pool, struct vocabulary *out,
                                   struct error *err)
{
    const struct node *most = node_get(tokenizer, "num_words"), *level = node_get(tokenizer, "char_level"),
                      *lower = node_get(tokenizer, "lower"), *oov = node_get(tokenizer, "oov_token"),
                      *filters = node_get(tokenizer, "filters"), *between = node_get(tokenizer, "split"),
                      *analyzer = node_get(tokenizer, "analyzer");
    const struct keras_tokenizer keras = {.filters = node_is(filters, NODE_TEXT) ? filters->text : NULL,
                                          .split = node_is(between, NODE_TEXT) ? between->text : NULL,
                                          .oov = node_is(oov, NODE_TEXT) ? oov->text : NULL,
                                          .characters = level && level->integer,
                                          .keeps_case = lower && !lower->integer,
                                          .analyses = analyzer && !node_is(analyzer, NODE_NONE),
                                          .num_words = node_is(most, NODE_INTEGER) ? (double)most->integer
                                                                                   : 0};
    enum status status =
        read_node(node_get(tokenizer, "word_index"), pool, out, keras_limit(&keras), err);
    out->from = "Keras' Tokenizer, pickled";
    return status == STATUS_OK ? settle_keras(&keras, pool, out, err) : status;
}

/* What of a pickle: the member `part`, if that is not NULL. */
static enum status read_pickle(const char *bytes, size_t n, const char *part, struct pool *pool,
                               struct vocabulary *out, struct error *err)
{
    struct pickle pickle;
    enum status status = pickle_read((const uint8_t *)bytes, n, pool, &pickle, err);
    if (status != STATUS_OK) {
        error_prefix(err, "--tokenizer");
        return status;
    }
    const struct node *root = part ? node_get(pickle.root, part) : pickle.root;
    if (!root) return error_set(err, STATUS_BAD_VALUE, "--tokenizer: the pickle has no member '%.60s'", part);
    if (node_get(root, "word_index")) return read_keras_node(root, pool, out, err);
    const struct node *listed = node_get(root, "itos");
    if (listed) out->from = "itos of the pickle, as torchtext has it";
    return read_node(listed ? listed : root, pool, out, SIZE_MAX, err);
}

/* A vocabulary of `wanted` tokens that was saved beside the model in its checkpoint; NULL. */
static const struct node *find_beside(const struct node *node, size_t wanted, size_t depth, const char **name)
{
    for (size_t i = 0; depth && node_is_mapping(node) && i + 1 < node->n_items; i += 2) {
        if (!node_is(node->items[i], NODE_TEXT)) continue;
        const struct node *found = node->items[i + 1];
        *name = node->items[i]->text;
        if (count_texts(found) == wanted) return found;
        found = find_beside(found, wanted, depth - 1, name);
        if (found) return found;
    }
    return NULL;
}

static enum status read_checkpoint(const struct node *checkpoint, struct pool *pool, struct vocabulary *out,
                                   struct error *err)
{
    const char *name = "";
    const struct node *found = find_beside(checkpoint, out->n, 3, &name);
    if (!found)
        return error_set_param(
            err, STATUS_BAD_VALUE, "tokenizer",
            "the checkpoint holds no list or dictionary of %zu tokens beside the model; give it by "
            "--tokenizer FILE",
            out->n);
    out->from = pool_print(pool, "from '%.60s' of the checkpoint", name);
    return read_node(found, pool, out, SIZE_MAX, err);
}

static enum status read_lines(char *text, struct pool *pool, struct vocabulary *out, struct error *err)
{
    size_t id = 0;
    enum status status = STATUS_OK;
    for (char *at = text, *end; *at && status == STATUS_OK; at = end) {
        end = at + strcspn(at, "\n");
        bool more = *end == '\n';
        *end = '\0';
        size_t n = strlen(at);
        if (n && at[n - 1] == '\r') at[n - 1] = '\0';
        status = put(out, pool, id++, at, err);
        end += more;
    }
    return status;
}

/* Ids without a text, such as padding's, get a name that no text gives. */
static enum status name_holes(struct vocabulary *out, struct pool *pool, struct error *err)
{
    for (size_t i = 0; i < out->n; i++) {
        if (out->items[i] && *out->items[i]) continue;
        out->items[i] = i == 0 ? "<pad>" : pool_print(pool, "<unused %zu>", i);
        if (!out->items[i]) return pool_spent(err);
    }
    return STATUS_OK;
}

static bool is_one_character(const char *text)
{
    uint32_t point;
    size_t bytes = strlen(text);
    return bytes && utf8_decode(text, bytes, &point) == bytes;
}

/* A vocabulary of single characters, with a few special tokens at most, is one of characters. */
static bool is_of_characters(const struct vocabulary *out)
{
    size_t n = 0, named = 0;
    for (size_t i = 0; i < out->n; i++) {
        if (!out->items[i]) continue;
        if (is_one_character(out->items[i])) n++;
        else named++;
    }
    return n > 0 && named <= 8 && named < n;
}

enum status card_vocabulary(const char *what, size_t wanted, bool lowercase, const struct node *checkpoint,
                            struct pool *pool, struct vocabulary *out, struct error *err)
{
    static const char *const unknown[] = {"<unk>", "[UNK]", "<UNK>", "UNK", "<oov>", "<OOV>"};
    char nothing[] = "", *text = nothing;
    size_t bytes = 0;
    *out = (struct vocabulary){.type = "bytes", .from = "from --tokenizer"};
    if (strcmp(what, "bytes") == 0) {
        if (wanted == 256) return STATUS_OK;
        return error_set(err, STATUS_BAD_VALUE, "--tokenizer bytes has 256 ids, but the network has %zu",
                         wanted);
    }
    if (wanted > CARD_MAX_VOCABULARY) return error_set(err, STATUS_TOO_LONG, "a vocabulary of %zu", wanted);
    out->lowercase = lowercase;
    out->n = wanted;
    out->items = pool_take(pool, wanted, sizeof *out->items);
    if (!out->items) return pool_spent(err);
    bool beside = strcmp(what, "characters") == 0 || strcmp(what, "words") == 0;
    const char *part = access(what, R_OK) ? strrchr(what, ':') : NULL; /* FILE:NAME */
    const char *file = part ? pool_text(pool, what, (size_t)(part - what)) : what;
    if (!file) return pool_spent(err);
    enum status status = beside ? read_checkpoint(checkpoint, pool, out, err)
                                : card_read_file(file, MAX_FILE, pool, &text, &bytes, err);
    if (status != STATUS_OK) return status;
    bool pickled = !beside && bytes > 1 && (uint8_t)text[0] == 0x80;
    if (part && !pickled)
        return error_set(err, STATUS_BAD_VALUE,
                         "--tokenizer: '%.80s' is no pickle, so it has no member '%.60s'", file, part + 1);
    size_t at = strspn(text, " \t\r\n");
    if (pickled) status = read_pickle(text, bytes, part ? part + 1 : NULL, pool, out, err);
    else if (text[at] == '[' || text[at] == '{') status = read_json(text, bytes, pool, out, err);
    else if (!beside) status = read_lines(text, pool, out, err);
    if (status != STATUS_OK) return status;
    if (out->splits) return name_holes(out, pool, err);
    out->type = is_of_characters(out) ? "characters" : "words";
    if (strcmp(out->type, "characters") == 0) out->lowercase = false;
    for (size_t u = 0; u < sizeof unknown / sizeof *unknown; u++)
        for (size_t i = 0; i < out->n && !out->unk; i++)
            if (out->items[i] && strcmp(out->items[i], unknown[u]) == 0) out->unk = unknown[u];
    return name_holes(out, pool, err);
}

/* ------------------------------------------------------------------------------------------
 * Scalers */

static enum status take_numbers(const struct json *value, struct pool *pool, const double **out, size_t *n,
                                struct error *err)
{
    size_t count = value && json_kind(value) == JSON_ARRAY ? json_count(value) : 1, i = 0;
    double *numbers = pool_take(pool, count + 1, sizeof *numbers);
    if (!numbers) return pool_spent(err);
    if (value && json_kind(value) == JSON_NUMBER) numbers[i++] = json_number(value);
    if (value && json_kind(value) == JSON_ARRAY)
        for (const struct json *v = json_first(value); v && json_kind(v) == JSON_NUMBER; v = json_next(v))
            numbers[i++] = json_number(v);
    *out = numbers;
    *n = i;
    if (i == count && i > 0) return STATUS_OK;
    return error_set(err, STATUS_BAD_VALUE,
                     "--scaler: expected {\"mean\": ..., \"scale\": ...} with numbers");
}

static const struct json *any_member(const struct json *object, const char *key)
{
    const struct json *found = member(object, key, JSON_NUMBER);
    return found ? found : member(object, key, JSON_ARRAY);
}

static enum status json_scaler(const char *text, size_t bytes, struct pool *pool, struct card *card,
                               struct error *err)
{
    struct json *root;
    size_t n = 0;
    enum status status = json_parse(text, bytes, &root, err);
    if (status != STATUS_OK) return status;
    status = take_numbers(any_member(root, "mean"), pool, &card->mean, &card->n_scaler, err);
    if (status == STATUS_OK) status = take_numbers(any_member(root, "scale"), pool, &card->scale, &n, err);
    if (status == STATUS_OK && n != card->n_scaler)
        status = error_set(err, STATUS_BAD_VALUE, "--scaler: %zu means, but %zu scales", card->n_scaler, n);
    json_free(root);
    return status;
}

/* The float64 values of a numpy.ndarray: numpy.core.multiarray._reconstruct, whose state is (version, shape,
 * dtype, whether Fortran's order, bytes). Bytes of protocol 2 are a call of _codecs.encode(text, 'latin1').
 */
static enum status array_doubles(const struct node *array, struct pool *pool, double **out, size_t *n,
                                 struct error *err)
{
    const struct node *state = node_is(array, NODE_CALL) ? array->state : NULL, *bytes = node_item(state, 4);
    const struct node *dtype = node_item(state, 2);
    bool encoded = node_calls(bytes, "_codecs.encode");
    const struct node *text = encoded ? node_item(bytes->arguments, 0) : NULL;
    const struct node *code = node_is(dtype, NODE_CALL) ? node_item(dtype->arguments, 0) : NULL;
    if (!node_is_text(code, "f8") || (!node_is(bytes, NODE_BYTES) && !node_is(text, NODE_TEXT)))
        return error_set(err, STATUS_UNSUPPORTED, "--scaler: its numbers are not a float64 array of NumPy");
    const char *raw = encoded ? text->text : bytes->text;
    size_t n_raw = encoded ? text->bytes : bytes->bytes, n_bytes = 0;
    uint8_t *plain = pool_take(pool, n_raw + 1, 1);
    if (!plain) return pool_spent(err);
    for (size_t at = 0; at < n_raw;) {
        uint32_t point = (uint8_t)raw[at];
        size_t used = encoded ? utf8_decode(raw + at, n_raw - at, &point) : 1;
        if (!used) return error_set(err, STATUS_BAD_FORMAT, "--scaler: its bytes are damaged");
        plain[n_bytes++] = (uint8_t)point;
        at += used;
    }
    *n = n_bytes / sizeof **out;
    *out = pool_take(pool, *n + 1, sizeof **out);
    if (!*out) return pool_spent(err);
    for (size_t i = 0; i < *n; i++) {
        uint64_t bits = 0;
        for (size_t b = 8; b-- > 0;) bits = bits << 8 | plain[8 * i + b];
        memcpy(&(*out)[i], &bits, sizeof bits);
    }
    return STATUS_OK;
}

static enum status pickled_scaler(const char *file, size_t bytes, struct pool *pool, struct card *card,
                                  struct error *err)
{
    struct pickle pickle;
    double *a = NULL, *b = NULL;
    size_t n = 0, m = 0;
    enum status status = pickle_read((const uint8_t *)file, bytes, pool, &pickle, err);
    if (status != STATUS_OK) {
        error_prefix(err, "--scaler (joblib's files are no pickles; use pickle.dump)");
        return status;
    }
    const char *class = node_class(pickle.root);
    /* copyreg._reconstructor(class, object, None) of the old protocols */
    if (strstr(class, "_reconstructor")) class = node_class(node_item(pickle.root->arguments, 0));
    bool standard = strstr(class, ".StandardScaler") != NULL, range = strstr(class, ".MinMaxScaler") != NULL;
    if (!standard && !range)
        return error_set(err, STATUS_UNSUPPORTED,
                         "--scaler: expected a StandardScaler or MinMaxScaler of scikit-learn, "
                         "found '%.80s'",
                         class);
    const struct node *first = node_get(pickle.root, standard ? "mean_" : "min_"),
                      *scale = node_get(pickle.root, "scale_");
    status = array_doubles(scale, pool, &b, &n, err);
    if (status == STATUS_OK && !node_is(first, NODE_NONE)) status = array_doubles(first, pool, &a, &m, err);
    if (status != STATUS_OK) return status;
    if (!a) a = pool_take(pool, n + 1, sizeof *a), m = n;
    if (!a) return pool_spent(err);
    if (m != n || n == 0)
        return error_set(err, STATUS_BAD_VALUE, "--scaler: %zu means, but %zu scales", m, n);
    /* MinMaxScaler gives x * scale_ + min_. */
    for (size_t i = 0; range && i < n; i++) a[i] = -a[i] / b[i], b[i] = 1 / b[i];
    card->mean = a, card->scale = b, card->n_scaler = n;
    return STATUS_OK;
}

enum status card_scaler(const char *path, struct pool *pool, struct card *card, struct error *err)
{
    char *text;
    size_t bytes;
    enum status status = card_read_file(path, MAX_FILE, pool, &text, &bytes, err);
    if (status != STATUS_OK) return status;
    bool json = text[strspn(text, " \t\r\n")] == '{';
    status = json ? json_scaler(text, bytes, pool, card, err) : pickled_scaler(text, bytes, pool, card, err);
    for (size_t i = 0; status == STATUS_OK && i < card->n_scaler; i++)
        if (!isfinite(card->mean[i]) || !(card->scale[i] > 0) || !isfinite(card->scale[i]))
            return error_set(err, STATUS_BAD_VALUE,
                             "--scaler: feature %zu has mean %g and scale %g, expected finite "
                             "numbers and a scale above 0",
                             i, card->mean[i], card->scale[i]);
    return status;
}
