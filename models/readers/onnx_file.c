#include "models/readers/onnx_file.h"

#include <string.h>
#include <unistd.h>

#include "models/formats/protobuf.h"
#include "models/text/folder.h"
#include "models/text/sentence.h"

/* Numbers of the fields in onnx.proto. */
enum {
    MODEL_PRODUCER = 2,
    MODEL_GRAPH = 7,
    MODEL_OPSET = 8,
    OPSET_DOMAIN = 1,
    OPSET_VERSION = 2,
    GRAPH_NODE = 1,
    GRAPH_INITIALIZER = 5,
    GRAPH_INPUT = 11,
    GRAPH_OUTPUT = 12,
    NODE_INPUT = 1,
    NODE_OUTPUT = 2,
    NODE_NAME = 3,
    NODE_TYPE = 4,
    NODE_ATTRIBUTE = 5,
    NODE_DOMAIN = 7,
    ATTRIBUTE_NAME = 1,
    ATTRIBUTE_F = 2,
    ATTRIBUTE_I = 3,
    ATTRIBUTE_S = 4,
    ATTRIBUTE_T = 5,
    ATTRIBUTE_G = 6,
    ATTRIBUTE_FLOATS = 7,
    ATTRIBUTE_INTS = 8,
    ATTRIBUTE_STRINGS = 9,
    TENSOR_DIMS = 1,
    TENSOR_TYPE = 2,
    TENSOR_FLOATS = 4,
    TENSOR_INT32S = 5,
    TENSOR_INT64S = 7,
    TENSOR_NAME = 8,
    TENSOR_RAW = 9,
    TENSOR_DOUBLES = 10,
    TENSOR_EXTERNAL = 13,
    TENSOR_LOCATION = 14,
    ENTRY_KEY = 1,
    ENTRY_VALUE = 2,
    PORT_NAME = 1,
    PORT_TYPE = 2,
    TYPE_TENSOR = 1,
    TENSOR_TYPE_ELEMENT = 1,
    TENSOR_TYPE_SHAPE = 2,
    SHAPE_DIM = 1,
    DIM_VALUE = 1
};
enum { MAX_LIST = 1 << 16, PAGE = 1 << 16 };
#define MAX_EXTERNAL ((uint64_t)1 << 31)

/* TensorProto.DataType. */
static const struct {
    int code;
    enum number_type type;
} types[] = {{1, NUMBER_F32}, {2, NUMBER_U8},   {3, NUMBER_I8},   {5, NUMBER_I16},  {6, NUMBER_I32},
             {7, NUMBER_I64}, {9, NUMBER_BOOL}, {10, NUMBER_F16}, {11, NUMBER_F64}, {16, NUMBER_BF16}};

static enum status damaged(struct error *err, const char *what)
{
    return error_set(err, STATUS_BAD_FORMAT, "the ONNX file is damaged or incomplete: %s", what);
}

static const char *text_of(const struct onnx_file *file, const struct protobuf_field *field)
{
    return pool_text(file->pool, field->is_bytes ? (const char *)field->bytes : "", field->n);
}

/* ------------------------------------------------------------------------------------------
 * Tensors */

struct tensor_parts {
    int type;
    struct protobuf_field raw, packed; /* of one of the typed lists */
    uint32_t list;                     /* which list; 0: none */
    const char *location;
    uint64_t offset, length;
    bool is_external;
};

static uint64_t decimal(const char *text)
{
    uint64_t x = 0;
    for (; *text >= '0' && *text <= '9' && x < MAX_EXTERNAL * 4; text++) x = x * 10 + (uint64_t)(*text - '0');
    return x;
}

static bool read_entry(const struct onnx_file *file, const struct protobuf_field *field,
                       struct tensor_parts *parts)
{
    struct protobuf entry = protobuf_open(field);
    struct protobuf_field f;
    const char *key = "", *value = "";
    while (protobuf_next(&entry, &f)) {
        if (f.number == ENTRY_KEY) key = text_of(file, &f);
        if (f.number == ENTRY_VALUE) value = text_of(file, &f);
        if (!key || !value) return false;
    }
    if (strcmp(key, "location") == 0) parts->location = value;
    if (strcmp(key, "offset") == 0) parts->offset = decimal(value);
    if (strcmp(key, "length") == 0) parts->length = decimal(value);
    return true;
}

/* All tensors of a model lie in one file beside it, named by one plain name. */
static enum status read_external(struct onnx_file *file, const struct tensor_parts *parts, struct tensor *out,
                                 struct error *err)
{
    char quoted[QUOTE_BYTES];
    const char *location = parts->location ? parts->location : "";
    sentence_quote(quoted, location, strlen(location));
    if (file->external && strcmp(file->external, location))
        return error_set(err, STATUS_UNSUPPORTED,
                         "the weights lie in several files; save them in one: "
                         "onnx.save(model, path, save_as_external_data=True)");
    if (!file->folder) return error_set(err, STATUS_NOT_FOUND, "the weights lie in another file, %s", quoted);
    if (!file->external) {
        char *content;
        size_t bytes;
        enum status status = folder_has(file->folder, location)
                                 ? STATUS_OK
                                 : error_set(err, STATUS_NOT_FOUND,
                                             "the weights lie in %s, which must be in the same "
                                             "folder; copy it there",
                                             quoted);
        struct file opened;
        if (status == STATUS_OK)
            status = folder_open_file(file->folder, location, MAX_EXTERNAL, &opened, err);
        if (status != STATUS_OK) return status;
        bytes = (size_t)opened.bytes;
        content = pool_take(file->pool, bytes + 1, 1);
        status = content ? file_read(opened.fd, location, 0, content, bytes, err) : pool_spent(err);
        close(opened.fd);
        if (status != STATUS_OK) return status;
        file->external = location;
        file->data = (const uint8_t *)content;
        file->n_data = bytes;
    }
    uint64_t length =
        parts->length ? parts->length : file->n_data - (parts->offset < file->n_data ? parts->offset : 0);
    if (parts->offset > file->n_data || length > file->n_data - parts->offset)
        return error_set(err, STATUS_BAD_FORMAT,
                         "%s has %llu bytes, but tensor %s ends at byte %llu; it is incomplete, or "
                         "another model's",
                         quoted, (unsigned long long)file->n_data, out->name,
                         (unsigned long long)(parts->offset + length));
    if (parts->offset + length > file->data_end) file->data_end = parts->offset + length;
    return tensor_make(out, file->data + parts->offset, length, 0, err);
}

/* A typed list: packed, or one value a field, which exporters write for few values only. */
static enum status read_list(struct onnx_file *file, const struct tensor_parts *parts, struct tensor *out,
                             struct error *err)
{
    if (parts->list == TENSOR_FLOATS && out->type == NUMBER_F32)
        return tensor_make(out, parts->packed.bytes, parts->packed.n, 0, err);
    if (parts->list == TENSOR_DOUBLES && out->type == NUMBER_F64)
        return tensor_make(out, parts->packed.bytes, parts->packed.n, 0, err);
    if (parts->list != TENSOR_INT64S && parts->list != TENSOR_INT32S)
        return damaged(err, "a tensor without values");
    struct protobuf packed = protobuf_open(&parts->packed);
    uint64_t x;
    size_t n = 0;
    uint8_t *bytes = pool_take(file->pool, parts->packed.n + 1, 8); /* a value has a byte at least */
    if (!bytes) return pool_spent(err);
    while (protobuf_varint(&packed, &x)) {
        for (size_t b = 0; b < number_bytes(out->type); b++)
            bytes[n * number_bytes(out->type) + b] = (uint8_t)(x >> 8 * b);
        n++;
    }
    return packed.bad ? damaged(err, "a list of integers")
                      : tensor_make(out, bytes, n * number_bytes(out->type), 0, err);
}

enum status onnx_tensor(struct onnx_file *file, const uint8_t *bytes, size_t n, struct tensor *out,
                        struct error *err)
{
    struct protobuf message = {bytes, n, false};
    struct protobuf_field f;
    struct tensor_parts parts = {0};
    *out = (struct tensor){.name = "", .type = N_NUMBER_TYPES};
    while (protobuf_next(&message, &f)) {
        struct protobuf dims = f.is_bytes ? protobuf_open(&f) : (struct protobuf){0};
        uint64_t x = f.value;
        switch (f.number) {
        case TENSOR_DIMS:
            while (f.is_bytes ? protobuf_varint(&dims, &x) : true) {
                if (out->rank == TENSOR_MAX_RANK || x > TENSOR_MAX_VALUES)
                    return damaged(err, "the shape of a tensor");
                out->shape[out->rank++] = (size_t)x;
                if (!f.is_bytes) break;
            }
            break;
        case TENSOR_TYPE: parts.type = (int)f.value; break;
        case TENSOR_NAME: out->name = text_of(file, &f); break;
        case TENSOR_RAW: parts.raw = f; break;
        case TENSOR_FLOATS:
        case TENSOR_INT32S:
        case TENSOR_INT64S:
        case TENSOR_DOUBLES:
            if (f.is_bytes) parts.packed = f, parts.list = f.number;
            break;
        case TENSOR_EXTERNAL:
            if (!read_entry(file, &f, &parts)) return pool_spent(err);
            break;
        case TENSOR_LOCATION: parts.is_external = f.value == 1; break;
        default: break;
        }
    }
    if (message.bad) return damaged(err, "a tensor");
    if (!out->name) return pool_spent(err);
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].code == parts.type) out->type = types[i].type;
    if (out->type == N_NUMBER_TYPES)
        return error_set(err, STATUS_UNSUPPORTED,
                         "tensor '%.80s' is of data type %d, expected floats or integers", out->name,
                         parts.type);
    tensor_set_dense(out);
    if (parts.is_external) return read_external(file, &parts, out, err);
    if (parts.raw.is_bytes) return tensor_make(out, parts.raw.bytes, parts.raw.n, 0, err);
    if (parts.list) return read_list(file, &parts, out, err);
    return tensor_make(out, (const uint8_t *)"", 0, 0, err); /* an empty one fits */
}

/* ------------------------------------------------------------------------------------------
 * Nodes */

static enum status add_integers(const struct onnx_file *file, const struct protobuf_field *f,
                                struct onnx_attribute *out, size_t *room, struct error *err)
{
    struct protobuf packed = f->is_bytes ? protobuf_open(f) : (struct protobuf){0};
    uint64_t x = f->value;
    do {
        if (f->is_bytes && !protobuf_varint(&packed, &x)) break;
        if (out->n_integers == MAX_LIST) return damaged(err, "a list of an attribute");
        enum status status =
            pool_grow(file->pool, (void **)&out->integers, out->n_integers, room, sizeof *out->integers, err);
        if (status != STATUS_OK) return status;
        ((int64_t *)out->integers)[out->n_integers++] = (int64_t)x;
    } while (f->is_bytes);
    return STATUS_OK;
}

static double real_of(uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    float x;
    memcpy(&x, &low, sizeof x);
    return (double)x;
}

static enum status add_reals(const struct onnx_file *file, const struct protobuf_field *f,
                             struct onnx_attribute *out, size_t *room, struct error *err)
{
    size_t n = f->is_bytes ? f->n / 4 : 1;
    for (size_t i = 0; i < n; i++) {
        uint64_t bits = f->value;
        for (size_t b = f->is_bytes ? 4 : 0; b-- > 0;) bits = bits << 8 | f->bytes[4 * i + b];
        if (out->n_reals == MAX_LIST) return damaged(err, "a list of an attribute");
        enum status status =
            pool_grow(file->pool, (void **)&out->reals, out->n_reals, room, sizeof *out->reals, err);
        if (status != STATUS_OK) return status;
        ((double *)out->reals)[out->n_reals++] = real_of(bits);
    }
    return STATUS_OK;
}

static enum status add_text(const struct onnx_file *file, const struct protobuf_field *f,
                            struct onnx_attribute *out, size_t *room, struct error *err)
{
    if (out->n_texts == MAX_LIST) return damaged(err, "a list of an attribute");
    enum status status =
        pool_grow(file->pool, (void **)&out->texts, out->n_texts, room, sizeof *out->texts, err);
    if (status != STATUS_OK) return status;
    const char *text = text_of(file, f);
    out->texts[out->n_texts++] = text;
    return text ? STATUS_OK : pool_spent(err);
}

static enum status read_attribute(struct onnx_file *file, const struct protobuf_field *field,
                                  struct onnx_attribute *out, struct error *err)
{
    struct protobuf message = protobuf_open(field);
    struct protobuf_field f;
    size_t rooms[3] = {0};
    enum status status = STATUS_OK;
    *out = (struct onnx_attribute){.name = ""};
    while (status == STATUS_OK && protobuf_next(&message, &f)) {
        struct tensor *tensor;
        switch (f.number) {
        case ATTRIBUTE_NAME: out->name = text_of(file, &f); break;
        case ATTRIBUTE_F: out->real = real_of(f.value); break;
        case ATTRIBUTE_I: out->integer = (int64_t)f.value; break;
        case ATTRIBUTE_S: out->text = text_of(file, &f); break;
        case ATTRIBUTE_T:
            tensor = pool_small(file->pool, sizeof *tensor);
            status = tensor ? onnx_tensor(file, f.bytes, f.n, tensor, err) : pool_spent(err);
            out->tensor = tensor;
            break;
        case ATTRIBUTE_FLOATS: status = add_reals(file, &f, out, &rooms[0], err); break;
        case ATTRIBUTE_INTS: status = add_integers(file, &f, out, &rooms[1], err); break;
        case ATTRIBUTE_STRINGS: status = add_text(file, &f, out, &rooms[2], err); break;
        default: break;
        }
    }
    if (status == STATUS_OK && !out->name) status = pool_spent(err);
    return status == STATUS_OK && message.bad ? damaged(err, "an attribute") : status;
}

static enum status add_name(const struct onnx_file *file, const struct protobuf_field *f, const char **names,
                            size_t *n, struct error *err)
{
    if (*n == ONNX_MAX_NAMES)
        return error_set(err, STATUS_UNSUPPORTED, "a node with more than %d inputs", (int)ONNX_MAX_NAMES);
    names[*n] = text_of(file, f);
    return names[(*n)++] ? STATUS_OK : pool_spent(err);
}

static enum status read_node(struct onnx_file *file, const struct protobuf_field *field, struct error *err)
{
    struct protobuf message = protobuf_open(field);
    struct protobuf_field f;
    if (file->n_nodes == ONNX_MAX_NODES)
        return error_set(err, STATUS_TOO_LONG, "more than %d nodes", (int)ONNX_MAX_NODES);
    enum status status = pool_grow(file->pool, (void **)&file->nodes, file->n_nodes, &file->nodes_room,
                                   sizeof *file->nodes, err);
    if (status != STATUS_OK) return status;
    struct onnx_node *node = &file->nodes[file->n_nodes++];
    *node = (struct onnx_node){.type = "", .name = "", .domain = ""};
    while (status == STATUS_OK && protobuf_next(&message, &f)) {
        switch (f.number) {
        case NODE_INPUT: status = add_name(file, &f, node->inputs, &node->n_inputs, err); break;
        case NODE_OUTPUT: status = add_name(file, &f, node->outputs, &node->n_outputs, err); break;
        case NODE_NAME: node->name = text_of(file, &f); break;
        case NODE_TYPE: node->type = text_of(file, &f); break;
        case NODE_DOMAIN: node->domain = text_of(file, &f); break;
        case NODE_ATTRIBUTE:
            if (node->n_attributes == ONNX_MAX_ATTRIBUTES) return damaged(err, "too many attributes");
            status = pool_grow(file->pool, (void **)&node->attributes, node->n_attributes, &node->room,
                               sizeof *node->attributes, err);
            if (status == STATUS_OK)
                status = read_attribute(file, &f, &node->attributes[node->n_attributes++], err);
            break;
        default: break;
        }
    }
    if (status == STATUS_OK && (!node->name || !node->type || !node->domain)) status = pool_spent(err);
    return status == STATUS_OK && message.bad ? damaged(err, "a node") : status;
}

/* ------------------------------------------------------------------------------------------
 * The graph */

static void read_shape(const struct protobuf_field *field, struct onnx_port *out)
{
    struct protobuf shape = protobuf_open(field);
    struct protobuf_field dim, f;
    while (protobuf_next(&shape, &dim)) {
        if (dim.number != SHAPE_DIM || out->rank == ONNX_MAX_DIMENSIONS) continue;
        struct protobuf message = protobuf_open(&dim);
        int64_t size = -1;
        while (protobuf_next(&message, &f))
            if (f.number == DIM_VALUE && !f.is_bytes && f.value < TENSOR_MAX_VALUES) size = (int64_t)f.value;
        out->shape[out->rank++] = size;
    }
}

static enum status read_port(const struct onnx_file *file, const struct protobuf_field *field,
                             struct onnx_port *ports, size_t *n, struct error *err)
{
    struct protobuf message = protobuf_open(field);
    struct protobuf_field f, g, h;
    struct onnx_port port = {.name = ""};
    while (protobuf_next(&message, &f)) {
        if (f.number == PORT_NAME) port.name = text_of(file, &f);
        if (f.number != PORT_TYPE) continue;
        for (struct protobuf type = protobuf_open(&f); protobuf_next(&type, &g);) {
            if (g.number != TYPE_TENSOR) continue;
            for (struct protobuf tensor = protobuf_open(&g); protobuf_next(&tensor, &h);) {
                if (h.number == TENSOR_TYPE_ELEMENT) port.element = (int)h.value;
                if (h.number == TENSOR_TYPE_SHAPE) read_shape(&h, &port);
            }
        }
    }
    if (!port.name) return pool_spent(err);
    if (*n == ONNX_MAX_INPUTS)
        return error_set(err, STATUS_TOO_LONG, "more than %d inputs or outputs of the graph",
                         (int)ONNX_MAX_INPUTS);
    ports[(*n)++] = port;
    return STATUS_OK;
}

static enum status read_initializer(struct onnx_file *file, const struct protobuf_field *f, struct error *err)
{
    if (file->n_tensors == ONNX_MAX_TENSORS) return error_set(err, STATUS_TOO_LONG, "too many tensors");
    enum status status = pool_grow(file->pool, (void **)&file->tensors, file->n_tensors, &file->tensors_room,
                                   sizeof *file->tensors, err);
    if (status == STATUS_OK) status = onnx_tensor(file, f->bytes, f->n, &file->tensors[file->n_tensors], err);
    if (status == STATUS_OK) file->n_tensors++;
    return status;
}

static enum status read_graph(struct onnx_file *file, const struct protobuf_field *field, struct error *err)
{
    struct protobuf graph = protobuf_open(field);
    struct protobuf_field f;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && protobuf_next(&graph, &f)) {
        if (f.number == GRAPH_NODE) status = read_node(file, &f, err);
        if (f.number == GRAPH_INITIALIZER) status = read_initializer(file, &f, err);
        if (f.number == GRAPH_INPUT) status = read_port(file, &f, file->inputs, &file->n_inputs, err);
        if (f.number == GRAPH_OUTPUT) status = read_port(file, &f, file->outputs, &file->n_outputs, err);
    }
    return status == STATUS_OK && graph.bad ? damaged(err, "its graph") : status;
}

static void read_opset(const struct onnx_file *file, const struct protobuf_field *field, int64_t *out)
{
    struct protobuf message = protobuf_open(field);
    struct protobuf_field f;
    int64_t version = 0;
    bool standard = true;
    (void)file;
    while (protobuf_next(&message, &f)) {
        if (f.number == OPSET_DOMAIN) standard = f.n == 0 || (f.n == 7 && memcmp(f.bytes, "ai.onnx", 7) == 0);
        if (f.number == OPSET_VERSION) version = (int64_t)f.value;
    }
    if (standard) *out = version;
}

enum status onnx_open(const uint8_t *bytes, size_t n, const struct folder *folder, struct pool *pool,
                      struct onnx_file *out, struct error *err)
{
    struct protobuf model = {bytes, n, false};
    struct protobuf_field f;
    bool has_graph = false;
    enum status status = STATUS_OK;
    *out = (struct onnx_file){.pool = pool, .folder = folder, .producer = ""};
    while (status == STATUS_OK && protobuf_next(&model, &f)) {
        if (f.number == MODEL_PRODUCER) out->producer = text_of(out, &f);
        if (f.number == MODEL_OPSET) read_opset(out, &f, &out->opset);
        if (f.number == MODEL_GRAPH && f.is_bytes) {
            has_graph = true;
            status = read_graph(out, &f, err);
        }
    }
    if (status != STATUS_OK) return status;
    if (!out->producer) return pool_spent(err);
    if (model.bad || !has_graph) return damaged(err, "it has no graph");
    if (out->external && out->n_data > (out->data_end + PAGE - 1) / PAGE * PAGE)
        return error_set(err, STATUS_BAD_FORMAT,
                         "'%.80s' has %llu bytes, but the tensors use %llu of them; it is another "
                         "model's",
                         out->external, (unsigned long long)out->n_data, (unsigned long long)out->data_end);
    return STATUS_OK;
}

const struct onnx_attribute *onnx_attribute(const struct onnx_node *node, const char *name)
{
    for (size_t i = 0; i < node->n_attributes; i++)
        if (strcmp(node->attributes[i].name, name) == 0) return &node->attributes[i];
    return NULL;
}

int64_t onnx_integer(const struct onnx_node *node, const char *name, int64_t fallback)
{
    const struct onnx_attribute *attribute = onnx_attribute(node, name);
    return attribute ? attribute->integer : fallback;
}

const struct tensor *onnx_initializer(const struct onnx_file *file, const char *name)
{
    for (size_t i = 0; i < file->n_tensors; i++)
        if (strcmp(file->tensors[i].name, name) == 0) return &file->tensors[i];
    return NULL;
}
