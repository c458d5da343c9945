/* Checkpoints of torch.save, and TorchScript's archives, whose code is not read. A pickle describes the
 * objects; tensors in it are calls of torch._utils._rebuild_tensor_v2(storage, offset, size, stride, ...),
 * and a storage is a name of bytes that lie elsewhere in the file (torch/serialization.py,
 * torch/_utils.py). */
#include <string.h>

#include "models/formats/zip.h"
#include "models/readers/source.h"
#include "models/text/sentence.h"

enum { MAX_STORAGES = 1 << 16, SEARCH_DEPTH = 6, MODULE_DEPTH = 32 };

/* Bytes of one storage. */
struct storage {
    const struct node *key;
    const uint8_t *bytes;
    uint64_t n_bytes;
};

struct torch {
    struct source *source;
    struct error *err;
    struct zip *zip;          /* or */
    struct storage *storages; /* [n_storages] of the old format */
    size_t n_storages;
    const char *folder; /* of the archive, with its slash */
    size_t visits;      /* left: a pickle may share nodes without end */
};

static const struct {
    const char *class;
    enum number_type type;
} storage_types[] = {
    {"torch.FloatStorage", NUMBER_F32},     {"torch.HalfStorage", NUMBER_F16},
    {"torch.BFloat16Storage", NUMBER_BF16}, {"torch.DoubleStorage", NUMBER_F64},
    {"torch.LongStorage", NUMBER_I64},      {"torch.IntStorage", NUMBER_I32},
    {"torch.ShortStorage", NUMBER_I16},     {"torch.CharStorage", NUMBER_I8},
    {"torch.ByteStorage", NUMBER_U8},       {"torch.BoolStorage", NUMBER_BOOL},
};

static enum status storage_type(const struct node *node, enum number_type *type, struct error *err)
{
    char quoted[QUOTE_BYTES];
    const char *class = node_class(node), *cuda = strncmp(class, "torch.cuda.", 11) ? NULL : class + 11;
    for (size_t i = 0; i < sizeof storage_types / sizeof *storage_types; i++)
        if (!strcmp(class, storage_types[i].class) || (cuda && !strcmp(cuda, storage_types[i].class + 6))) {
            *type = storage_types[i].type;
            return STATUS_OK;
        }
    return error_set(err, STATUS_UNSUPPORTED,
                     "a tensor of %s, expected floats; save the float model (model.float())",
                     sentence_quote(quoted, class, strlen(class)));
}

/* ------------------------------------------------------------------------------------------
 * Tensors */

/* The call that makes a tensor, through the wrappers that parameters have; NULL. */
static const struct node *tensor_call(const struct node *node)
{
    for (size_t i = 0; i < 4 && node_is(node, NODE_CALL); i++) {
        if (node_calls(node, "torch._utils._rebuild_tensor_v2") ||
            node_calls(node, "torch._utils._rebuild_tensor"))
            return node;
        if (node_calls(node, "torch._tensor._rebuild_from_type_v2") &&
            node_calls(node_item(node->arguments, 0), "torch._utils._rebuild_tensor_v2"))
            return node;
        if (!strstr(node_class(node), "arameter")) return NULL;
        node = node_item(node->arguments, 0);
    }
    return NULL;
}

static bool integer_at(const struct node *list, size_t i, uint64_t *out)
{
    const struct node *item = node_item(list, i);
    if (!node_is(item, NODE_INTEGER) || item->integer < 0) return false;
    *out = (uint64_t)item->integer;
    return true;
}

static bool same_key(const struct node *a, const struct node *b)
{
    return node_is(a, NODE_TEXT) && node_is(b, NODE_TEXT) && a->bytes == b->bytes &&
           memcmp(a->text, b->text, a->bytes) == 0;
}

/* The bytes that ('storage', class, key, place, number of elements[, view]) names. */
static enum status find_storage(struct torch *torch, const struct node *names, const uint8_t **bytes,
                                uint64_t *n, struct error *err)
{
    const struct node *key = node_item(names, 2);
    if (!node_is(key, NODE_TEXT)) return error_set(err, STATUS_BAD_FORMAT, "a storage without a name");
    for (size_t i = 0; i < torch->n_storages; i++)
        if (same_key(torch->storages[i].key, key)) {
            *bytes = torch->storages[i].bytes;
            *n = torch->storages[i].n_bytes;
            return STATUS_OK;
        }
    char *name = torch->zip ? pool_print(torch->source->pool, "%sdata/%s", torch->folder, key->text) : NULL;
    struct zip_entry *entry = name ? zip_find_exactly(torch->zip, name) : NULL;
    if (!entry)
        return error_set(err, STATUS_BAD_FORMAT, "the file names the storage '%.40s' and does not hold it",
                         key->text);
    enum status status = zip_read(torch->zip, entry, torch->source->pool, err);
    *bytes = entry->content;
    *n = entry->bytes;
    return status;
}

/* A view of a storage, before PyTorch 1.6: (key, offset, size). */
static enum status apply_view(const struct node *view, size_t element, const uint8_t **bytes, uint64_t *n,
                              struct error *err)
{
    uint64_t offset, size;
    if (!node_is(view, NODE_LIST) || view->n_items == 0) return STATUS_OK;
    if (!integer_at(view, 1, &offset) || !integer_at(view, 2, &size) || offset > *n / element ||
        size > *n / element - offset)
        return error_set(err, STATUS_BAD_FORMAT, "a view lies outside of its storage");
    *bytes += offset * element;
    *n = size * element;
    return STATUS_OK;
}

static enum status read_tensor(struct torch *torch, const struct node *call, const char *name,
                               struct tensor *tensor, struct error *err)
{
    const struct node *arguments = call->arguments;
    if (node_calls(call, "torch._tensor._rebuild_from_type_v2")) arguments = node_item(arguments, 2);
    const struct node *storage = node_item(arguments, 0), *size = node_item(arguments, 2),
                      *stride = node_item(arguments, 3);
    const struct node *names = node_is(storage, NODE_PERSISTENT) ? storage->arguments : NULL;
    uint64_t offset, n = 0, x;
    const uint8_t *bytes = NULL;
    *tensor = (struct tensor){.name = name};
    if (!names || !integer_at(arguments, 1, &offset) || !node_is(size, NODE_LIST) ||
        !node_is(stride, NODE_LIST) || size->n_items != stride->n_items || size->n_items > TENSOR_MAX_RANK)
        return error_set(err, STATUS_BAD_FORMAT, "tensor '%.80s' is described in an unknown way", name);
    tensor->rank = size->n_items;
    for (size_t i = 0; i < tensor->rank; i++) {
        if (!integer_at(size, i, &x))
            return error_set(err, STATUS_BAD_FORMAT, "tensor '%.80s': its size", name);
        tensor->shape[i] = (size_t)x;
        if (!integer_at(stride, i, &x))
            return error_set(err, STATUS_BAD_FORMAT, "tensor '%.80s': its stride", name);
        tensor->strides[i] = (size_t)x;
    }
    enum status status = storage_type(node_item(names, 1), &tensor->type, err);
    if (status == STATUS_OK) status = find_storage(torch, names, &bytes, &n, err);
    if (status == STATUS_OK)
        status = apply_view(node_item(names, 5), number_bytes(tensor->type), &bytes, &n, err);
    return status == STATUS_OK ? tensor_make(tensor, bytes, n, offset, err) : status;
}

static enum status add_tensor(struct torch *torch, const char *prefix, const struct node *key,
                              const struct node *call, struct error *err)
{
    struct tensor tensor;
    char *name = pool_print(torch->source->pool, "%s%s%s", prefix, *prefix ? "." : "", key->text);
    if (!name) return pool_spent(err);
    enum status status = read_tensor(torch, call, name, &tensor, err);
    return status == STATUS_OK ? source_add(torch->source, &tensor, err) : status;
}

/* ------------------------------------------------------------------------------------------
 * Where the tensors are */

static bool is_module(const struct node *node)
{
    return node_is(node, NODE_CALL) && node_is(node->state, NODE_DICTIONARY) && node_get(node, "_modules") &&
           node_get(node, "_parameters");
}

/* An object of TorchScript: its tensors and the modules below are its attributes. */
static bool is_script(const struct node *node)
{
    return node_is(node, NODE_CALL) && !strncmp(node_class(node), "__torch__.", 10) &&
           node_is(node->state, NODE_DICTIONARY);
}

/* A mapping from names to tensors. What an optimizer keeps of each weight has no such names. */
static bool is_state_dict(const struct node *node)
{
    if (!node_is_mapping(node)) return false;
    for (size_t i = 0; i + 1 < node->n_items; i += 2)
        if (node_is(node->items[i], NODE_TEXT) && tensor_call(node->items[i + 1]) &&
            (strstr(node->items[i]->text, "weight") || strchr(node->items[i]->text, '.')))
            return true;
    return false;
}

static enum status refuse_quantised(struct error *err)
{
    return error_set(err, STATUS_UNSUPPORTED,
                     "the model is quantised by torch.ao.quantization, whose packed weights are not read; "
                     "import the float model, as it was before quantize_dynamic(), and serve it in eight "
                     "bits by --precision int8");
}

/* The tensors and modules below a pickled module. */
static enum status read_module(struct torch *torch, const struct node *module, const char *prefix,
                               size_t depth, struct error *err)
{
    struct source *source = torch->source;
    if (depth > MODULE_DEPTH) return error_set(err, STATUS_TOO_LONG, "the module is nested too deep");
    if (strstr(node_class(module), ".quantized.")) return refuse_quantised(err);
    if (source->n_modules == SOURCE_MAX_MODULES) return error_set(err, STATUS_TOO_LONG, "too many modules");
    enum status status = pool_grow(source->pool, (void **)&source->modules, source->n_modules,
                                   &source->modules_room, sizeof *source->modules, err);
    if (status != STATUS_OK) return status;
    source->modules[source->n_modules++] = (struct module){prefix, node_class(module), module->state};
    static const char *const kinds[] = {"_parameters", "_buffers"};
    for (size_t k = 0; k < 2; k++) {
        const struct node *tensors = node_get(module, kinds[k]);
        for (size_t i = 0; tensors && i + 1 < tensors->n_items && status == STATUS_OK; i += 2) {
            const struct node *call = tensor_call(tensors->items[i + 1]);
            if (call && node_is(tensors->items[i], NODE_TEXT))
                status = add_tensor(torch, prefix, tensors->items[i], call, err);
        }
    }
    const struct node *below = node_get(module, "_modules");
    for (size_t i = 0; below && i + 1 < below->n_items && status == STATUS_OK; i += 2) {
        if (!node_is(below->items[i], NODE_TEXT) || !is_module(below->items[i + 1])) continue;
        char *name = pool_print(source->pool, "%s%s%s", prefix, *prefix ? "." : "", below->items[i]->text);
        status = name ? read_module(torch, below->items[i + 1], name, depth + 1, err) : pool_spent(err);
    }
    return status;
}

static enum status read_script(struct torch *torch, const struct node *module, const char *prefix,
                               size_t depth, struct error *err)
{
    const struct node *attributes = module->state;
    enum status status = STATUS_OK;
    if (depth > MODULE_DEPTH) return error_set(err, STATUS_TOO_LONG, "the module is nested too deep");
    if (strstr(node_class(module), ".quantized.")) return refuse_quantised(err);
    for (size_t i = 0; i + 1 < attributes->n_items && status == STATUS_OK; i += 2) {
        const struct node *key = attributes->items[i], *value = attributes->items[i + 1];
        const struct node *call = tensor_call(value);
        if (!node_is(key, NODE_TEXT)) continue;
        if (call) status = add_tensor(torch, prefix, key, call, err);
        if (call || !is_script(value)) continue;
        if (torch->visits == 0) return error_set(err, STATUS_TOO_LONG, "too many modules");
        torch->visits--;
        char *name = pool_print(torch->source->pool, "%s%s%s", prefix, *prefix ? "." : "", key->text);
        status = name ? read_script(torch, value, name, depth + 1, err) : pool_spent(err);
    }
    return status;
}

static enum status read_state_dict(struct torch *torch, const struct node *node, struct error *err)
{
    enum status status = STATUS_OK;
    char quoted[QUOTE_BYTES];
    for (size_t i = 0; i + 1 < node->n_items && status == STATUS_OK; i += 2) {
        const struct node *key = node->items[i], *call = tensor_call(node->items[i + 1]);
        if (!node_is(key, NODE_TEXT)) continue;
        if (strstr(key->text, "_packed_params") || strstr(key->text, "_all_weight_values"))
            return refuse_quantised(err);
        if (call) status = add_tensor(torch, "", key, call, err);
        else if (strstr(node_class(node->items[i + 1]), "_rebuild_"))
            return error_set(err, STATUS_UNSUPPORTED,
                             "%s is made by %s, expected a plain tensor; save the float model's state_dict()",
                             sentence_quote(quoted, key->text, key->bytes), node_class(node->items[i + 1]));
        else report_ignored(torch->source->report, key->text, "no tensor");
    }
    return status;
}

/* Places that hold a model, at most one of which may be found. */
struct search {
    const struct node *found;
    const char *name, *other;
};

static void search(struct torch *torch, const struct node *node, const char *name, size_t depth,
                   struct search *out)
{
    if (!node || depth == 0 || torch->visits == 0) return;
    torch->visits--;
    if (is_module(node) || is_script(node) || is_state_dict(node)) {
        if (out->found) out->other = name;
        else *out = (struct search){node, name, NULL};
        return;
    }
    for (size_t i = 0; node_is(node, NODE_LIST) && i < node->n_items; i++)
        search(torch, node->items[i], name, depth - 1, out);
    if (!node_is_mapping(node)) return;
    for (size_t i = 0; i + 1 < node->n_items; i += 2) {
        const struct node *key = node->items[i];
        if (!node_is(key, NODE_TEXT) || strstr(key->text, "optim") || strstr(key->text, "ema_")) continue;
        search(torch, node->items[i + 1], key->text, depth - 1, out);
    }
}

static void tell_ignored(struct torch *torch, const struct node *root, const struct node *found)
{
    for (size_t i = 0; node_is_mapping(root) && i + 1 < root->n_items; i += 2)
        if (node_is(root->items[i], NODE_TEXT) && root->items[i + 1] != found)
            report_ignored(torch->source->report, root->items[i]->text, "beside the model in the checkpoint");
}

static enum status read_root(struct torch *torch, const struct node *root, struct error *err)
{
    struct search result = {0};
    char a[QUOTE_BYTES], b[QUOTE_BYTES];
    torch->visits = SOURCE_MAX_TENSORS * 16;
    torch->source->checkpoint = root;
    search(torch, root, "the file", SEARCH_DEPTH, &result);
    if (!result.found && node_get(root, "param_groups"))
        return error_set(err, STATUS_BAD_FORMAT,
                         "this is the state of an optimizer, which has no model in it; "
                         "import the checkpoint that holds model.state_dict()");
    if (!result.found)
        return error_set(err, STATUS_BAD_FORMAT,
                         "the file holds no model: expected a state_dict, a checkpoint with "
                         "one in it, or a module; save it by torch.save(model.state_dict(), path)");
    if (result.other)
        return error_set(err, STATUS_UNSUPPORTED,
                         "the checkpoint holds two models, %s and %s; save the one that is "
                         "wanted by itself: torch.save(checkpoint[%s], 'one.pt')",
                         sentence_quote(a, result.name, strlen(result.name)),
                         sentence_quote(b, result.other, strlen(result.other)), a);
    if (result.found != root) tell_ignored(torch, root, result.found);
    report_fact(torch->source->report, "tensors", result.name,
                is_module(result.found)   ? "a pickled module, read as data"
                : is_script(result.found) ? "TorchScript, whose code is not read"
                                          : "a state_dict");
    if (is_module(result.found)) return read_module(torch, result.found, "", 0, err);
    if (is_script(result.found)) return read_script(torch, result.found, "", 0, err);
    return read_state_dict(torch, result.found, err);
}

/* ------------------------------------------------------------------------------------------
 * The two formats */

/* An archive that torch.save did not write. */
static enum status read_other(const struct zip *zip, struct source *source, struct error *err)
{
    if (zip_find(zip, "archive_format") || zip_find(zip, "models/model.json") ||
        zip_find(zip, "serialized_exported_program.json"))
        return export_read(zip, source, err);
    return error_set(err, STATUS_BAD_FORMAT,
                     "this zip archive is neither PyTorch's (it has no data.pkl) nor Keras' "
                     "(no model.weights.h5) nor NumPy's (not all in it is .npy)");
}

enum status torch_read_zip(const uint8_t *file, size_t n, struct source *source, struct error *err)
{
    struct zip zip;
    struct pickle pickle;
    struct torch torch = {.source = source, .err = err, .zip = &zip};
    enum status status = zip_open(file, n, source->pool, &zip, err);
    if (status != STATUS_OK) return status;
    struct zip_entry *entry = zip_find(&zip, "data.pkl"), *order = zip_find(&zip, "byteorder");
    if (!entry) return read_other(&zip, source, err);
    status = zip_read(&zip, entry, source->pool, err);
    if (status == STATUS_OK && order) status = zip_read(&zip, order, source->pool, err);
    if (status != STATUS_OK) return status;
    if (order && order->bytes >= 3 && memcmp(order->content, "big", 3) == 0)
        return error_set(err, STATUS_UNSUPPORTED,
                         "the tensors are big-endian; save them on a little-endian machine");
    torch.folder = pool_text(source->pool, entry->name, strlen(entry->name) - strlen("data.pkl"));
    if (!torch.folder) return pool_spent(err);
    source->is_ordered = true;
    status = pickle_read(entry->content, (size_t)entry->bytes, source->pool, &pickle, err);
    return status == STATUS_OK ? read_root(&torch, pickle.root, err) : status;
}

/* The type of a storage stands where the object names it. */
static size_t element_bytes(const struct pickle *object, const struct node *key)
{
    struct error err;
    enum number_type type;
    for (size_t i = 0; i < object->n_persistent; i++) {
        const struct node *names = object->persistent[i]->arguments;
        if (same_key(node_item(names, 2), key) && storage_type(node_item(names, 1), &type, &err) == STATUS_OK)
            return number_bytes(type);
    }
    return 0;
}

/* After the pickles, for each key: a count of eight bytes, then so many elements. */
static enum status read_storages(struct torch *torch, const struct pickle *object, const struct node *keys,
                                 const uint8_t *bytes, size_t n, struct error *err)
{
    if (!node_is(keys, NODE_LIST) || keys->n_items > MAX_STORAGES)
        return error_set(err, STATUS_BAD_FORMAT, "the list of storages is damaged");
    torch->storages = pool_take(torch->source->pool, keys->n_items + 1, sizeof *torch->storages);
    if (!torch->storages) return pool_spent(err);
    for (size_t i = 0, at = 0; i < keys->n_items; i++) {
        uint64_t count = 0;
        size_t size = element_bytes(object, keys->items[i]);
        if (!size || n - at < 8)
            return error_set(err, STATUS_BAD_FORMAT, "the file ends before its last tensor");
        for (size_t b = 8; b-- > 0;) count = count << 8 | bytes[at + b];
        at += 8;
        if (count > (n - at) / size)
            return error_set(err, STATUS_BAD_FORMAT, "the file ends before its last tensor");
        torch->storages[torch->n_storages++] = (struct storage){keys->items[i], bytes + at, count * size};
        at += count * size;
    }
    return STATUS_OK;
}

enum status torch_read_legacy(const uint8_t *file, size_t n, struct source *source, struct error *err)
{
    enum { MAGIC, PROTOCOL, SYSTEM, OBJECT, KEYS, N_PICKLES };
    struct pickle pickles[N_PICKLES];
    struct torch torch = {.source = source, .err = err};
    size_t at = 0;
    for (size_t i = 0; i < N_PICKLES; i++) {
        enum status status = pickle_read(file + at, n - at < PICKLE_MAX_BYTES ? n - at : PICKLE_MAX_BYTES,
                                         source->pool, &pickles[i], err);
        if (status != STATUS_OK) return status;
        at += pickles[i].bytes;
    }
    const struct node *little = node_get(pickles[SYSTEM].root, "little_endian");
    if (little && little->integer == 0)
        return error_set(err, STATUS_UNSUPPORTED,
                         "the tensors are big-endian; save them on a little-endian machine");
    source->is_ordered = true;
    enum status status = read_storages(&torch, &pickles[OBJECT], pickles[KEYS].root, file + at, n - at, err);
    return status == STATUS_OK ? read_root(&torch, pickles[OBJECT].root, err) : status;
}
