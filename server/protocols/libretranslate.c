/* POST /translate and GET /languages: the shape of LibreTranslate, so that its clients work. The languages
 * choose the model, and /v1/translate answers. A body is JSON or a form. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/base/memory.h"
#include "models/translation/translation.h"
#include "server/api/answer.h"
#include "server/api/bridge.h"
#include "server/api/codec.h"
#include "server/api/urlencoded.h"
#include "server/request/server.h"

enum { LIST_BYTES = 256 };

/* What the answer repeats of the request. */
struct libre {
    bool single;       /* q was one text */
    bool alternatives; /* some were asked for */
};

static const struct {
    const char *code, *name;
} languages[] = {
#define X(code, name) {code, name},
#include "server/protocols/languages.def"
};

/* ---- the models ------------------------------------------------------------------------------- */

/* The highest versions of the models that say their languages; dropped and freed by drop_models. */
static struct model **list_models(const struct server *server, size_t *n)
{
    struct model **models;
    size_t n_all, kept = 0;
    *n = 0;
    if (registry_list(server->registry, &models, &n_all) != STATUS_OK) return NULL;
    for (size_t i = 0; i < n_all; i++) {
        struct model *highest = registry_acquire(server->registry, models[i]->name);
        bool wanted = highest == models[i] && task_can(models[i]->task, ABILITY_TRANSLATE) &&
                      *translation_spec_of(models[i])->source;
        model_drop(highest);
        if (wanted) models[kept++] = models[i];
        else model_drop(models[i]);
    }
    *n = kept;
    return models;
}

static void drop_models(struct model **models, size_t n)
{
    for (size_t i = 0; i < n; i++) model_drop(models[i]);
    memory_free(models);
}

/* "en to fr, fr to en", as far as it fits. */
static void list_pairs(struct model *const *models, size_t n, char out[LIST_BYTES])
{
    size_t used = 0;
    snprintf(out, LIST_BYTES, "none");
    for (size_t i = 0; i < n && used + 2 * LANGUAGE_BYTES + 8 < LIST_BYTES; i++) {
        const struct translation_spec *spec = translation_spec_of(models[i]);
        used += (size_t)snprintf(out + used, LIST_BYTES - used, "%s%s to %s", used ? ", " : "", spec->source,
                                 spec->target);
    }
}

/* The first model of the two languages; "auto" is the source of the only model with the target. */
static const struct model *find_model(struct model *const *models, size_t n, const char *source,
                                      const char *target)
{
    const struct model *found = NULL;
    bool is_auto = !strcasecmp(source, "auto");
    for (size_t i = 0; i < n; i++) {
        const struct translation_spec *spec = translation_spec_of(models[i]);
        if (strcasecmp(spec->target, target)) continue;
        if (is_auto && found) return NULL;
        if (is_auto || (!found && !strcasecmp(spec->source, source))) found = models[i];
    }
    return found;
}

/* ---- GET /languages --------------------------------------------------------------------------- */

static const char *name_of(const char *code)
{
    for (size_t i = 0; i < sizeof languages / sizeof *languages; i++)
        if (!strcasecmp(languages[i].code, code)) return languages[i].name;
    return code;
}

/* One language and what it can be translated into. */
static void put_language(struct writer *out, struct model *const *models, size_t n, const char *code)
{
    put_open(out, '{');
    put_named_string(out, "code", code);
    put_named_string(out, "name", name_of(code));
    put_name(out, "targets");
    put_open(out, '[');
    for (size_t i = 0; i < n; i++) {
        const struct translation_spec *spec = translation_spec_of(models[i]);
        if (!strcasecmp(spec->source, code)) put_string(out, spec->target);
    }
    put_close(out, ']');
    put_close(out, '}');
}

/* Whether one of the first n models, or the source of the next one, names the language already. */
static bool is_named(struct model *const *models, size_t n, const char *code, bool and_source)
{
    for (size_t i = 0; i < n + and_source; i++) {
        const struct translation_spec *spec = translation_spec_of(models[i]);
        if (!strcasecmp(spec->source, code) || (i < n && !strcasecmp(spec->target, code))) return true;
    }
    return false;
}

void api_libre_languages(struct request *request, struct reply *reply)
{
    size_t n;
    struct model **models = list_models(request->server, &n);
    struct writer out;
    writer_init(&out, (size_t)request->server->config->limits_reply_bytes);
    if (!models) writer_fail(&out);
    put_open(&out, '[');
    for (size_t i = 0; i < n; i++) {
        const struct translation_spec *spec = translation_spec_of(models[i]);
        if (!is_named(models, i, spec->source, false)) put_language(&out, models, n, spec->source);
        if (!is_named(models, i, spec->target, true)) put_language(&out, models, n, spec->target);
    }
    put_close(&out, ']');
    drop_models(models, n);
    answer_writer(&out, reply);
}

/* ---- POST /translate -------------------------------------------------------------------------- */

static void put_texts(struct writer *out, const struct json *list)
{
    put_open(out, '[');
    for (const struct json *v = json_first(list); v; v = json_next(v))
        put_string(out, json_string(json_get(v, "text")));
    put_close(out, ']');
}

/* Write the answer of /v1/translate as LibreTranslate's. */
static void convert(void *context, struct request *request, struct reply *reply)
{
    const struct libre *libre = context;
    struct writer out;
    struct json *document = bridge_parse(reply->body, reply->body_bytes, &reply->problem);
    if (!document) return;
    const struct json *list = json_get(document, "translations"), *first = json_first(list);
    writer_init(&out, (size_t)request->server->config->limits_reply_bytes);
    put_open(&out, '{');
    if (libre->alternatives) {
        put_name(&out, "alternatives");
        if (!libre->single) put_open(&out, '[');
        for (const struct json *v = first; v; v = json_next(v))
            put_texts(&out, json_get(v, "alternatives"));
        if (!libre->single) put_close(&out, ']');
    }
    put_name(&out, "translatedText");
    if (libre->single) put_string(&out, json_string(json_get(first, "text")));
    else put_texts(&out, list);
    put_close(&out, '}');
    bridge_replace(&out, reply);
    json_free(document);
}

/* The body as a document. A form does not begin with a bracket. */
static struct json *parse(const struct request *request, struct problem *problem)
{
    size_t blank = 0, bytes;
    while (blank < request->body_bytes && strchr(" \t\r\n", request->body[blank])) blank++;
    if (blank < request->body_bytes && request->body[blank] == '{') return call_parse(request, problem);
    struct writer form;
    writer_init(&form, (size_t)request->server->config->limits_body_bytes * 8);
    urlencoded_put(request->body, request->body_bytes, &form);
    char *json = writer_take(&form, &bytes);
    if (!json) {
        problem_set(problem, FAULT_NO_MEMORY, NULL, NULL);
        return NULL;
    }
    struct json *document = call_parse_text(request, json, bytes, problem);
    free(json);
    return document;
}

/* "alternatives" may be a number in digits, as forms have it. */
static bool read_alternatives(const struct json *root, size_t *n, struct problem *problem)
{
    const struct json *field = json_get(root, "alternatives");
    if (json_kind(field) != JSON_STRING)
        return field_size(root, "alternatives", 0, TRANSLATION_MAX_BEAMS - 1, n, problem);
    char *end;
    unsigned long value = strtoul(json_string(field), &end, 10);
    if (end == json_string(field) || *end || *json_string(field) == '-' || value >= TRANSLATION_MAX_BEAMS)
        return field_expected(field, "alternatives", "a number from 0 to 15", problem);
    *n = value;
    return true;
}

static bool read_language(const struct json *root, const char *name, const char **code,
                          struct problem *problem)
{
    *code = NULL;
    if (!field_string(root, name, LANGUAGE_BYTES, code, problem)) return false;
    return *code || field_expected(NULL, name, "the code of a language, such as \"en\"", problem);
}

static bool write_body(const struct request *request, const struct json *root, struct libre *libre,
                       struct writer *body, struct problem *problem)
{
    const char *source, *target, *format = "text";
    char pairs[LIST_BYTES];
    size_t n, alternatives = 0;
    const struct json *q = json_get(root, "q");
    if (!read_language(root, "source", &source, problem) ||
        !read_language(root, "target", &target, problem) ||
        !read_alternatives(root, &alternatives, problem) ||
        !field_string(root, "format", 16, &format, problem))
        return false;
    if (format && strcmp(format, "text"))
        return problem_set(problem, FAULT_INVALID_VALUE, "format",
                           "'format' is not 'text', which is all that this server translates");
    if (json_kind(q) != JSON_STRING && json_kind(q) != JSON_ARRAY)
        return field_expected(q, "q", "a string or an array of strings", problem);
    struct model **models = list_models(request->server, &n);
    const struct model *model = find_model(models, n, source, target);
    if (model) {
        libre->single = json_kind(q) == JSON_STRING;
        libre->alternatives = alternatives > 0;
        put_open(body, '{');
        put_named_string(body, "model", model->name);
        bridge_put_field(body, "input", q);
        if (alternatives) put_named_integer(body, "alternatives", (int64_t)alternatives);
        put_close(body, '}');
    } else {
        list_pairs(models, n, pairs);
        problem_set(problem, FAULT_INVALID_VALUE, "target", "no model translates from %s to %s; served: %s",
                    source, target, pairs);
    }
    drop_models(models, n);
    return model != NULL;
}

void api_libre_translate(struct request *request, struct reply *reply)
{
    static const struct bridge_calls calls = {.convert = convert, .release = free};
    struct writer body;
    struct json *document = parse(request, &reply->problem);
    struct libre *libre = document ? calloc(1, sizeof *libre) : NULL;
    writer_init(&body, (size_t)request->server->config->limits_body_bytes * 8);
    if (document && !libre) problem_set(&reply->problem, FAULT_NO_MEMORY, NULL, NULL);
    if (libre && write_body(request, document, libre, &body, &reply->problem))
        bridge_ask(request, reply, api_translate, &body, &calls, libre);
    else {
        writer_release(&body);
        free(libre);
    }
    json_free(document);
}
