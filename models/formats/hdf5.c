#include "models/formats/hdf5.h"

#include <string.h>

#include "models/formats/inflate.h"
#include "models/text/sentence.h"

enum {
    SIGNATURE_BYTES = 8,
    ROOT_ENTRY_AT = 56,
    ENTRY_BYTES = 40,
    MESSAGE_DATASPACE = 1,
    MESSAGE_DATATYPE = 3,
    MESSAGE_LAYOUT = 8,
    MESSAGE_FILTERS = 11,
    MESSAGE_ATTRIBUTE = 12,
    MESSAGE_CONTINUATION = 16,
    MESSAGE_SYMBOL_TABLE = 17,
    CLASS_FIXED = 0,
    CLASS_FLOAT = 1,
    CLASS_STRING = 3,
    CLASS_ENUM = 8,
    CLASS_VARIABLE = 9,
    LAYOUT_COMPACT = 0,
    LAYOUT_CONTIGUOUS = 1,
    LAYOUT_CHUNKED = 2,
    FILTER_DEFLATE = 1,
    FILTER_SHUFFLE = 2,
    MAX_LEVELS = 8,
    MAX_CHUNKS = 1 << 16,
    MAX_RANK = 8,
    FLAG_SHARED = 2
};

#define UNDEFINED UINT64_MAX

/* Bytes of the file from a place to an end; reading beyond sets `bad` and gives zeros. */
struct view {
    const uint8_t *at;
    uint64_t left;
    bool bad;
};

static enum status damaged(struct error *err, const char *what)
{
    return error_set(err, STATUS_BAD_FORMAT, "the HDF5 file is damaged or incomplete: %s", what);
}

static struct view view_at(const struct hdf5 *hdf5, uint64_t place, uint64_t bytes)
{
    bool good = place <= hdf5->n && bytes <= hdf5->n - place;
    return (struct view){hdf5->file + (good ? place : 0), good ? bytes : 0, !good};
}

static const uint8_t *take(struct view *view, uint64_t bytes)
{
    static const uint8_t zeros[16];
    if (view->bad || bytes > view->left) {
        view->bad = true;
        return zeros;
    }
    const uint8_t *at = view->at;
    view->at += bytes;
    view->left -= bytes;
    return at;
}

/* At most 8 bytes, little-endian. */
static uint64_t number(struct view *view, unsigned bytes)
{
    const uint8_t *at = take(view, bytes);
    uint64_t x = 0;
    for (unsigned i = bytes; i-- > 0;) x = x << 8 | at[i];
    return x;
}

/* ------------------------------------------------------------------------------------------
 * Object headers, version 1: a chain of messages in one or more blocks */

struct message {
    unsigned type, flags;
    struct view body;
};

/* Messages of `header` of one type, from *index on; false after the last. */
static bool next_message(const struct hdf5 *hdf5, uint64_t header, unsigned type, size_t *index,
                         struct message *out)
{
    struct view view = view_at(hdf5, header, 16);
    unsigned version = (unsigned)number(&view, 1);
    take(&view, 1);
    size_t n_messages = (size_t)number(&view, 2), seen = 0;
    take(&view, 4);
    uint64_t bytes = number(&view, 4);
    struct view blocks[MAX_LEVELS * 2] = {view_at(hdf5, header + 16, bytes)};
    size_t n_blocks = 1;
    if (view.bad || version != 1 || header > hdf5->n) return false;
    for (size_t b = 0; b < n_blocks; b++)
        while (blocks[b].left >= 8 && !blocks[b].bad && seen < n_messages && seen < HDF5_MAX_MESSAGES) {
            struct message message = {.type = (unsigned)number(&blocks[b], 2)};
            uint64_t size = number(&blocks[b], 2);
            message.flags = (unsigned)number(&blocks[b], 1);
            take(&blocks[b], 3);
            const uint8_t *body = take(&blocks[b], size);
            if (blocks[b].bad) break;
            message.body = (struct view){body, size, false};
            if (message.type == MESSAGE_CONTINUATION && n_blocks < MAX_LEVELS * 2) {
                struct view where = message.body;
                uint64_t place = number(&where, 8), length = number(&where, 8);
                if (!where.bad) blocks[n_blocks++] = view_at(hdf5, place, length);
            }
            if (message.type == type && seen >= *index) {
                *index = seen + 1;
                *out = message;
                return true;
            }
            seen++;
        }
    return false;
}

static bool find_message(const struct hdf5 *hdf5, uint64_t header, unsigned type, struct message *out)
{
    size_t index = 0;
    return next_message(hdf5, header, type, &index, out) && !(out->flags & FLAG_SHARED);
}

/* ------------------------------------------------------------------------------------------
 * Groups */

static enum status read_group(struct hdf5 *hdf5, uint64_t tree, uint64_t heap, const char *path, size_t depth,
                              struct error *err);

static enum status add_object(struct hdf5 *hdf5, const char *name, uint64_t header, size_t depth,
                              struct error *err)
{
    struct message message;
    if (hdf5->n_objects == HDF5_MAX_OBJECTS)
        return error_set(err, STATUS_TOO_LONG, "the HDF5 file has too many objects");
    enum status status = pool_grow(hdf5->pool, (void **)&hdf5->objects, hdf5->n_objects, &hdf5->room,
                                   sizeof *hdf5->objects, err);
    if (status != STATUS_OK) return status;
    bool is_group = find_message(hdf5, header, MESSAGE_SYMBOL_TABLE, &message);
    hdf5->objects[hdf5->n_objects++] = (struct hdf5_object){name, header, is_group};
    if (!is_group) return STATUS_OK;
    uint64_t tree = number(&message.body, 8), heap = number(&message.body, 8);
    return message.body.bad ? damaged(err, "a group") : read_group(hdf5, tree, heap, name, depth + 1, err);
}

/* The name at `offset` of a local heap. */
static const char *heap_name(const struct hdf5 *hdf5, uint64_t heap, uint64_t offset, const char *path)
{
    struct view view = view_at(hdf5, heap, 32);
    bool good = memcmp(take(&view, 4), "HEAP", 4) == 0;
    take(&view, 4);
    uint64_t bytes = number(&view, 8);
    take(&view, 8);
    struct view data = view_at(hdf5, number(&view, 8), bytes);
    take(&data, offset);
    const uint8_t *end = good && !view.bad && !data.bad && data.left ? memchr(data.at, 0, data.left) : NULL;
    if (!end || end - data.at > HDF5_MAX_NAME || strlen(path) > HDF5_MAX_NAME) return NULL;
    char *name = pool_small(hdf5->pool, strlen(path) + (size_t)(end - data.at) + 2);
    if (!name) return NULL;
    size_t n = strlen(path);
    memcpy(name, path, n);
    if (n) name[n++] = '/';
    memcpy(name + n, data.at, (size_t)(end - data.at) + 1);
    return name;
}

static enum status read_symbols(struct hdf5 *hdf5, uint64_t place, uint64_t heap, const char *path,
                                size_t depth, struct error *err)
{
    struct view view = view_at(hdf5, place, 8);
    bool good = memcmp(take(&view, 4), "SNOD", 4) == 0;
    take(&view, 2);
    uint64_t n = number(&view, 2);
    struct view entries = view_at(hdf5, place + 8, n * ENTRY_BYTES);
    if (!good || view.bad || entries.bad) return damaged(err, "a table of symbols");
    for (uint64_t i = 0; i < n; i++) {
        struct view entry = {take(&entries, ENTRY_BYTES), ENTRY_BYTES, false};
        uint64_t offset = number(&entry, 8), header = number(&entry, 8);
        if (number(&entry, 4) == 2) continue; /* a symbolic link */
        const char *name = heap_name(hdf5, heap, offset, path);
        if (!name) return damaged(err, "the name of an object");
        enum status status = add_object(hdf5, name, header, depth, err);
        if (status != STATUS_OK) return status;
    }
    return STATUS_OK;
}

/* A B-tree of version 1 over a group's symbols. */
static enum status read_tree(struct hdf5 *hdf5, uint64_t place, uint64_t heap, const char *path, size_t depth,
                             size_t levels, struct error *err)
{
    struct view view = view_at(hdf5, place, 24);
    bool good = memcmp(take(&view, 4), "TREE", 4) == 0 && number(&view, 1) == 0;
    uint64_t level = number(&view, 1), n = number(&view, 2);
    struct view body = view_at(hdf5, place + 24, n * 16 + 8);
    if (!good || view.bad || body.bad || levels > MAX_LEVELS || ++hdf5->visits > HDF5_MAX_OBJECTS)
        return damaged(err, "a tree of a group");
    enum status status = STATUS_OK;
    for (uint64_t i = 0; i < n && status == STATUS_OK; i++) {
        take(&body, 8);
        uint64_t child = number(&body, 8);
        status = level ? read_tree(hdf5, child, heap, path, depth, levels + 1, err)
                       : read_symbols(hdf5, child, heap, path, depth, err);
    }
    return status;
}

static enum status read_group(struct hdf5 *hdf5, uint64_t tree, uint64_t heap, const char *path, size_t depth,
                              struct error *err)
{
    if (depth > HDF5_MAX_DEPTH) return damaged(err, "groups are nested too deep");
    return read_tree(hdf5, tree, heap, path, depth, 0, err);
}

enum status hdf5_open(const uint8_t *file, uint64_t n, struct pool *pool, struct hdf5 *out, struct error *err)
{
    *out = (struct hdf5){.file = file, .n = n, .pool = pool};
    struct view view = view_at(out, SIGNATURE_BYTES, ROOT_ENTRY_AT + ENTRY_BYTES - SIGNATURE_BYTES);
    unsigned version = (unsigned)number(&view, 1);
    if (view.bad) return damaged(err, "it is too short");
    if (version > 1)
        return error_set(err, STATUS_UNSUPPORTED,
                         "an HDF5 file of superblock version %u, as libver='latest' makes it; "
                         "save it without that: model.save('model.keras')",
                         version);
    take(&view, 4);
    uint64_t offsets = number(&view, 1), lengths = number(&view, 1);
    if (offsets != 8 || lengths != 8)
        return error_set(err, STATUS_UNSUPPORTED, "an HDF5 file with short offsets");
    struct view entry = view_at(out, ROOT_ENTRY_AT + (version == 1 ? 4 : 0), ENTRY_BYTES);
    take(&entry, 8);
    uint64_t header = number(&entry, 8);
    if (entry.bad) return damaged(err, "its root");
    return add_object(out, "", header, 0, err);
}

const struct hdf5_object *hdf5_find(const struct hdf5 *hdf5, const char *path)
{
    for (size_t i = 0; i < hdf5->n_objects; i++)
        if (strcmp(hdf5->objects[i].name, path) == 0) return &hdf5->objects[i];
    return NULL;
}

/* ------------------------------------------------------------------------------------------
 * Shapes and types */

struct type {
    unsigned class;
    uint64_t bytes;
    enum number_type number;
    bool is_number, is_text; /* is_text: of a variable length */
};

static void read_type(struct view *view, struct type *out)
{
    unsigned first = (unsigned)number(view, 1);
    uint64_t bits = number(view, 3);
    *out = (struct type){.class = first & 15, .bytes = number(view, 4), .number = N_NUMBER_TYPES};
    bool big = bits & 1, is_signed = bits & 8;
    if (out->class == CLASS_FLOAT && !big)
        out->number = out->bytes == 4   ? NUMBER_F32
                      : out->bytes == 8 ? NUMBER_F64
                      : out->bytes == 2 ? NUMBER_F16
                                        : N_NUMBER_TYPES;
    if (out->class == CLASS_FIXED && !big && is_signed)
        out->number = out->bytes == 8   ? NUMBER_I64
                      : out->bytes == 4 ? NUMBER_I32
                      : out->bytes == 1 ? NUMBER_I8
                                        : N_NUMBER_TYPES;
    out->is_number = out->number != N_NUMBER_TYPES;
    out->is_text = out->class == CLASS_VARIABLE && (bits & 15) == 1;
}

static bool read_shape(struct view *view, size_t *rank, size_t shape[MAX_RANK])
{
    unsigned version = (unsigned)number(view, 1);
    *rank = (size_t)number(view, 1);
    unsigned flags = (unsigned)number(view, 1);
    take(view, version == 1 ? 5 : 1);
    (void)flags; /* the largest sizes follow, which nothing here needs */
    if (*rank > MAX_RANK || version < 1 || version > 2) return false;
    for (size_t i = 0; i < *rank; i++) shape[i] = (size_t)number(view, 8);
    return !view->bad;
}

/* ------------------------------------------------------------------------------------------
 * Data */

static bool count_values(const struct tensor *tensor, size_t *n)
{
    *n = 1;
    for (size_t i = 0; i < tensor->rank; i++) {
        if (tensor->shape[i] && *n > TENSOR_MAX_VALUES / tensor->shape[i]) return false;
        *n *= tensor->shape[i];
    }
    return true;
}

/* The filters of chunks; at most deflate and shuffle. */
static enum status read_filters(const struct hdf5 *hdf5, uint64_t header, bool *deflated, bool *shuffled,
                                struct error *err)
{
    struct message message;
    *deflated = *shuffled = false;
    if (!find_message(hdf5, header, MESSAGE_FILTERS, &message)) return STATUS_OK;
    unsigned version = (unsigned)number(&message.body, 1);
    uint64_t n = number(&message.body, 1);
    if (version == 1) take(&message.body, 6);
    for (uint64_t i = 0; i < n && !message.body.bad; i++) {
        uint64_t id = number(&message.body, 2);
        uint64_t name = version == 1 || id >= 256 ? number(&message.body, 2) : 0;
        take(&message.body, 2);
        uint64_t values = number(&message.body, 2);
        take(&message.body, name);
        take(&message.body, values * 4);
        if (version == 1 && values % 2) take(&message.body, 4);
        if (id != FILTER_DEFLATE && id != FILTER_SHUFFLE)
            return error_set(err, STATUS_UNSUPPORTED,
                             "HDF5 data are packed by filter %llu, expected gzip or none",
                             (unsigned long long)id);
        if (id == FILTER_DEFLATE) *deflated = true;
        else *shuffled = true;
    }
    return message.body.bad ? damaged(err, "the filters of data") : STATUS_OK;
}

struct chunks {
    const struct hdf5 *hdf5;
    const struct tensor *tensor;
    size_t sizes[MAX_RANK], element;
    bool deflated, shuffled;
    uint8_t *out, *unpacked, *plain; /* of one chunk */
    size_t chunk_bytes, seen;
    uint64_t bytes_left; /* a file may name a chunk again and again */
};

static void unshuffle(const uint8_t *in, size_t n, size_t element, uint8_t *out)
{
    for (size_t i = 0; i < n; i++)
        for (size_t b = 0; b < element; b++) out[i * element + b] = in[b * n + i];
}

/* Copy the part of a chunk that lies within the array. */
static void place_chunk(const struct chunks *c, const uint8_t *in, const size_t offset[MAX_RANK])
{
    size_t index[MAX_RANK] = {0}, n = c->chunk_bytes / c->element;
    for (size_t i = 0; i < n; i++) {
        size_t to = 0;
        bool inside = true;
        for (size_t a = 0; a < c->tensor->rank; a++) {
            size_t at = offset[a] + index[a];
            inside = inside && at < c->tensor->shape[a];
            to = to * c->tensor->shape[a] + at;
        }
        if (inside) memcpy(c->out + to * c->element, in + i * c->element, c->element);
        for (size_t a = c->tensor->rank; a-- > 0;) {
            if (++index[a] < c->sizes[a]) break;
            index[a] = 0;
        }
    }
}

static enum status read_chunk(struct chunks *c, uint64_t place, uint64_t bytes, const size_t offset[MAX_RANK],
                              struct error *err)
{
    struct view data = view_at(c->hdf5, place, bytes);
    const uint8_t *in = data.at;
    if (data.bad || ++c->seen > MAX_CHUNKS || c->chunk_bytes > c->bytes_left)
        return damaged(err, "a chunk of data");
    c->bytes_left -= c->chunk_bytes;
    if (c->deflated) {
        if (!inflate_block(in, (size_t)bytes, c->unpacked, c->chunk_bytes, true))
            return damaged(err, "a packed chunk");
        in = c->unpacked;
    } else if (bytes < c->chunk_bytes) {
        return damaged(err, "a chunk is too short");
    }
    if (c->shuffled) {
        unshuffle(in, c->chunk_bytes / c->element, c->element, c->plain);
        in = c->plain;
    }
    place_chunk(c, in, offset);
    return STATUS_OK;
}

/* A B-tree of version 1 over chunks: keys are bytes, mask, and an offset a dimension with one more. */
static enum status read_chunk_tree(struct chunks *c, uint64_t place, size_t levels, struct error *err)
{
    size_t key = 8 + 8 * (c->tensor->rank + 1);
    struct view view = view_at(c->hdf5, place, 24);
    bool good = memcmp(take(&view, 4), "TREE", 4) == 0 && number(&view, 1) == 1;
    uint64_t level = number(&view, 1), n = number(&view, 2);
    struct view body = view_at(c->hdf5, place + 24, n * (key + 8));
    if (!good || view.bad || body.bad || levels > MAX_LEVELS || ++c->seen > MAX_CHUNKS)
        return damaged(err, "a tree of chunks");
    enum status status = STATUS_OK;
    for (uint64_t i = 0; i < n && status == STATUS_OK; i++) {
        size_t offset[MAX_RANK] = {0};
        uint64_t bytes = number(&body, 4);
        take(&body, 4);
        for (size_t a = 0; a < c->tensor->rank; a++) {
            offset[a] = (size_t)number(&body, 8);
            if (offset[a] > c->tensor->shape[a]) return damaged(err, "a chunk lies outside");
        }
        take(&body, 8);
        uint64_t child = number(&body, 8);
        status =
            level ? read_chunk_tree(c, child, levels + 1, err) : read_chunk(c, child, bytes, offset, err);
    }
    return status;
}

static enum status read_chunked(const struct hdf5 *hdf5, uint64_t header, struct view *layout,
                                unsigned version, struct tensor *tensor, struct error *err)
{
    struct chunks c = {.hdf5 = hdf5, .tensor = tensor, .element = number_bytes(tensor->type)};
    uint64_t rank = number(layout, 1), tree = number(layout, 8);
    size_t values = 0;
    if (version != 3 || rank != tensor->rank + 1 || !count_values(tensor, &values))
        return damaged(err, "the layout of data");
    c.chunk_bytes = c.element;
    c.bytes_left = 16 * (uint64_t)(values * c.element) + (1 << 20);
    for (size_t a = 0; a < tensor->rank; a++) {
        c.sizes[a] = (size_t)number(layout, 4);
        if (c.sizes[a] == 0 || c.chunk_bytes > TENSOR_MAX_VALUES / c.sizes[a])
            return damaged(err, "the size of chunks");
        c.chunk_bytes *= c.sizes[a];
    }
    enum status status = read_filters(hdf5, header, &c.deflated, &c.shuffled, err);
    if (status != STATUS_OK) return status;
    c.out = pool_take(hdf5->pool, values + 1, c.element);
    c.unpacked = pool_take(hdf5->pool, c.chunk_bytes, 1);
    c.plain = pool_take(hdf5->pool, c.chunk_bytes, 1);
    if (!c.out || !c.unpacked || !c.plain) return pool_spent(err);
    if (tree != UNDEFINED) status = read_chunk_tree(&c, tree, 0, err);
    return status == STATUS_OK ? tensor_make(tensor, c.out, values * c.element, 0, err) : status;
}

static enum status read_data(const struct hdf5 *hdf5, uint64_t header, struct tensor *tensor,
                             struct error *err)
{
    struct message message;
    if (!find_message(hdf5, header, MESSAGE_LAYOUT, &message)) return damaged(err, "data without a layout");
    unsigned version = (unsigned)number(&message.body, 1), class = (unsigned)number(&message.body, 1);
    if (version != 3)
        return error_set(err, STATUS_UNSUPPORTED, "HDF5 data of layout version %u, expected 3", version);
    if (class == LAYOUT_CHUNKED) return read_chunked(hdf5, header, &message.body, version, tensor, err);
    if (class == LAYOUT_COMPACT) {
        uint64_t bytes = number(&message.body, 2);
        const uint8_t *data = take(&message.body, bytes);
        return message.body.bad ? damaged(err, "compact data") : tensor_make(tensor, data, bytes, 0, err);
    }
    uint64_t place = number(&message.body, 8), bytes = number(&message.body, 8);
    struct view data = view_at(hdf5, place == UNDEFINED ? 0 : place, place == UNDEFINED ? 0 : bytes);
    if (class != LAYOUT_CONTIGUOUS || message.body.bad || data.bad)
        return damaged(err, "data lie outside of it");
    return tensor_make(tensor, data.at, data.left, 0, err);
}

enum status hdf5_tensor(const struct hdf5 *hdf5, const struct hdf5_object *object, struct tensor *out,
                        struct error *err)
{
    struct message space, type_message;
    struct type type;
    *out = (struct tensor){.name = object->name};
    if (!find_message(hdf5, object->header, MESSAGE_DATASPACE, &space) ||
        !find_message(hdf5, object->header, MESSAGE_DATATYPE, &type_message))
        return damaged(err, "data without a shape or type");
    if (!read_shape(&space.body, &out->rank, out->shape)) return damaged(err, "the shape of data");
    read_type(&type_message.body, &type);
    if (type_message.body.bad || !type.is_number) {
        char quoted[QUOTE_BYTES];
        return error_set(err, STATUS_UNSUPPORTED, "the HDF5 data %s are no little-endian floats",
                         sentence_quote(quoted, object->name, strlen(object->name)));
    }
    out->type = type.number;
    tensor_set_dense(out);
    return read_data(hdf5, object->header, out, err);
}

/* ------------------------------------------------------------------------------------------
 * Attributes */

/* A text of a variable length lies in a global heap: bytes, place of the collection, index in it. */
static const char *heap_text(const struct hdf5 *hdf5, struct view *reference)
{
    uint64_t bytes = number(reference, 4), place = number(reference, 8), wanted = number(reference, 4);
    struct view view = view_at(hdf5, place, 16);
    bool good = memcmp(take(&view, 4), "GCOL", 4) == 0;
    take(&view, 4);
    uint64_t whole = number(&view, 8);
    if (!reference->bad && bytes == 0) return "";
    if (reference->bad || !good || view.bad || whole < 16) return NULL;
    struct view objects = view_at(hdf5, place + 16, whole - 16);
    while (!objects.bad && objects.left >= 16) {
        uint64_t index = number(&objects, 2);
        take(&objects, 6);
        uint64_t size = number(&objects, 8);
        const uint8_t *data = objects.at;
        if (index == 0) return NULL;
        if (index == wanted && bytes <= size && bytes <= objects.left)
            return pool_text(hdf5->pool, (const char *)data, (size_t)bytes);
        if (size > objects.left) return NULL;
        uint64_t rounded = (size + 7) / 8 * 8;
        take(&objects, rounded < objects.left ? rounded : objects.left);
    }
    return NULL;
}

static enum status read_texts(const struct hdf5 *hdf5, struct view data, const struct type *type,
                              size_t count, const char ***texts, struct error *err)
{
    *texts = pool_take(hdf5->pool, count + 1, sizeof **texts);
    if (!*texts) return pool_spent(err);
    for (size_t i = 0; i < count; i++) {
        struct view element = {take(&data, type->bytes), type->bytes, false};
        if (data.bad) return damaged(err, "an attribute is cut off");
        if (type->is_text) (*texts)[i] = heap_text(hdf5, &element);
        else (*texts)[i] = pool_text(hdf5->pool, (const char *)element.at, (size_t)type->bytes);
        if (!(*texts)[i]) return damaged(err, "a text of an attribute");
    }
    return STATUS_OK;
}

static uint64_t padded(uint64_t bytes, unsigned version)
{
    return version == 1 ? (bytes + 7) / 8 * 8 : bytes;
}

enum status hdf5_texts(const struct hdf5 *hdf5, const struct hdf5_object *object, const char *name,
                       const char ***texts, size_t *n, struct error *err)
{
    struct message message;
    size_t index = 0;
    *n = SIZE_MAX;
    while (next_message(hdf5, object->header, MESSAGE_ATTRIBUTE, &index, &message)) {
        struct view *view = &message.body;
        unsigned version = (unsigned)number(view, 1);
        take(view, 1);
        uint64_t n_name = number(view, 2), n_type = number(view, 2), n_space = number(view, 2);
        if (version == 3) take(view, 1);
        const char *found = (const char *)take(view, padded(n_name, version));
        if (view->bad || n_name != strlen(name) + 1 || memcmp(found, name, n_name)) continue;
        struct view type_view = {take(view, padded(n_type, version)), n_type, false};
        struct view space_view = {take(view, padded(n_space, version)), n_space, false};
        struct type type;
        size_t rank, shape[MAX_RANK], count = 1;
        if (view->bad || !read_shape(&space_view, &rank, shape)) return damaged(err, "an attribute");
        read_type(&type_view, &type);
        for (size_t i = 0; i < rank; i++) {
            if (shape[i] > HDF5_MAX_TEXTS || count > HDF5_MAX_TEXTS)
                return damaged(err, "an attribute is too large");
            count *= shape[i];
        }
        if (count && ((!type.is_text && type.class != CLASS_STRING) || (type.is_text && type.bytes != 16)))
            return error_set(err, STATUS_UNSUPPORTED, "the HDF5 attribute '%s' holds no texts", name);
        *n = count;
        return count ? read_texts(hdf5, *view, &type, count, texts, err) : STATUS_OK;
    }
    return STATUS_OK;
}
