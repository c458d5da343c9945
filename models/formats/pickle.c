#include "models/formats/pickle.h"

#include <stdlib.h>
#include <string.h>

enum opcode {
#define X(byte, symbol, bytes, kind) OP_##symbol = byte,
#include "models/formats/pickle.def"
};

enum argument {
    ARGUMENT_UNKNOWN,
    ARGUMENT_NOTHING,
    ARGUMENT_FIXED,
    ARGUMENT_COUNTED,
    ARGUMENT_LINE,
    ARGUMENT_TWO_LINES
};

static const struct {
    enum argument argument;
    uint8_t bytes;
} opcodes[256] = {
#define X(byte, symbol, bytes, kind) [byte] = {ARGUMENT_##kind, bytes},
#include "models/formats/pickle.def"
};

enum { NUMBER_TEXT_BYTES = 64, MAX_STACK = 1 << 20 };

struct machine {
    const uint8_t *bytes; /* [n] */
    size_t n, at;
    struct pool *pool;
    struct error *err;
    struct node **stack, **memo;
    size_t n_stack, stack_room, n_memo, memo_room;
    size_t *marks;
    size_t n_marks, marks_room;
    size_t n_nodes;
    struct pickle *out;
    /* the argument of the opcode at hand */
    uint64_t number;
    const uint8_t *text;
    size_t text_bytes;
    const uint8_t *text2;
    size_t text2_bytes;
};

static enum status damaged(struct machine *m, const char *what)
{
    return error_set(m->err, STATUS_BAD_FORMAT, "the pickle is damaged at byte %zu: %s", m->at, what);
}

static enum status new_node(struct machine *m, enum node_kind kind, struct node **out)
{
    if (++m->n_nodes > PICKLE_MAX_NODES)
        return error_set(m->err, STATUS_TOO_LONG, "the pickle holds more than %d values",
                         (int)PICKLE_MAX_NODES);
    *out = pool_small(m->pool, sizeof **out);
    if (!*out) return pool_spent(m->err);
    (*out)->kind = kind;
    return STATUS_OK;
}

static enum status push(struct machine *m, struct node *node)
{
    if (m->n_stack == MAX_STACK) return damaged(m, "its stack is too deep");
    enum status status =
        pool_grow(m->pool, (void **)&m->stack, m->n_stack, &m->stack_room, sizeof *m->stack, m->err);
    if (status == STATUS_OK) m->stack[m->n_stack++] = node;
    return status;
}

static enum status push_new(struct machine *m, enum node_kind kind, struct node **out)
{
    enum status status = new_node(m, kind, out);
    return status == STATUS_OK ? push(m, *out) : status;
}

/* What lies above the last mark, or nothing. */
static size_t floor_of(const struct machine *m)
{
    return m->n_marks ? m->marks[m->n_marks - 1] : 0;
}

static enum status pop(struct machine *m, struct node **out)
{
    if (m->n_stack <= floor_of(m)) return damaged(m, "its stack is empty");
    *out = m->stack[--m->n_stack];
    return STATUS_OK;
}

static enum status add_item(struct machine *m, struct node *to, struct node *item)
{
    enum status status =
        pool_grow(m->pool, (void **)&to->items, to->n_items, &to->room, sizeof *to->items, m->err);
    if (status == STATUS_OK) to->items[to->n_items++] = item;
    return status;
}

/* Put stack[from..] into `to` and take it from the stack. */
static enum status add_from(struct machine *m, size_t from, struct node *to)
{
    for (size_t i = from; i < m->n_stack; i++) {
        enum status status = add_item(m, to, m->stack[i]);
        if (status != STATUS_OK) return status;
    }
    m->n_stack = from;
    return STATUS_OK;
}

static enum status pop_mark(struct machine *m, size_t *from)
{
    if (m->n_marks == 0) return damaged(m, "a mark is missing");
    *from = m->marks[--m->n_marks];
    return STATUS_OK;
}

/* ------------------------------------------------------------------------------------------
 * Arguments */

static bool read_line(struct machine *m, const uint8_t **text, size_t *bytes)
{
    const uint8_t *end = m->at < m->n ? memchr(m->bytes + m->at, '\n', m->n - m->at) : NULL;
    if (!end) return false;
    *text = m->bytes + m->at;
    *bytes = (size_t)(end - *text);
    m->at += *bytes + 1;
    return true;
}

static bool read_little(struct machine *m, size_t bytes)
{
    if (bytes > m->n - m->at) return false;
    m->number = 0;
    for (size_t i = bytes; i-- > 0;) m->number = m->number << 8 | m->bytes[m->at + i];
    m->at += bytes;
    return true;
}

static bool read_argument(struct machine *m, uint8_t opcode)
{
    switch (opcodes[opcode].argument) {
    case ARGUMENT_UNKNOWN: return false;
    case ARGUMENT_NOTHING: return true;
    case ARGUMENT_FIXED: m->text = m->bytes + m->at; return read_little(m, opcodes[opcode].bytes);
    case ARGUMENT_COUNTED:
        if (!read_little(m, opcodes[opcode].bytes) || m->number > m->n - m->at) return false;
        m->text = m->bytes + m->at;
        m->text_bytes = (size_t)m->number;
        m->at += m->text_bytes;
        return true;
    case ARGUMENT_LINE: return read_line(m, &m->text, &m->text_bytes);
    case ARGUMENT_TWO_LINES:
        return read_line(m, &m->text, &m->text_bytes) && read_line(m, &m->text2, &m->text2_bytes);
    }
    return false;
}

/* A line as a zero-terminated text that strtoll and strtod may read. */
static const char *number_text(const struct machine *m, char out[NUMBER_TEXT_BYTES])
{
    size_t n = m->text_bytes < NUMBER_TEXT_BYTES - 1 ? m->text_bytes : NUMBER_TEXT_BYTES - 1;
    memcpy(out, m->text, n);
    out[n] = '\0';
    return out;
}

/* ------------------------------------------------------------------------------------------
 * Values */

static enum status push_integer(struct machine *m, enum node_kind kind, int64_t value)
{
    struct node *node;
    enum status status = push_new(m, kind, &node);
    if (status == STATUS_OK) node->integer = value;
    return status;
}

static enum status push_text(struct machine *m, enum node_kind kind, const uint8_t *text, size_t bytes)
{
    struct node *node;
    enum status status = push_new(m, kind, &node);
    if (status != STATUS_OK) return status;
    node->text = kind == NODE_BYTES ? (const char *)text : pool_text(m->pool, (const char *)text, bytes);
    node->bytes = bytes;
    return node->text ? STATUS_OK : pool_spent(m->err);
}

/* A long integer of two's complement; what does not fit is its low 64 bits. */
static enum status push_long(struct machine *m)
{
    uint64_t value = 0;
    size_t n = m->text_bytes < 8 ? m->text_bytes : 8;
    for (size_t i = 0; i < n; i++) value |= (uint64_t)m->text[i] << 8 * i;
    if (n > 0 && n < 8 && m->text[n - 1] & 0x80) value |= UINT64_MAX << 8 * n;
    return push_integer(m, NODE_INTEGER, (int64_t)value);
}

static enum status push_real(struct machine *m, double value)
{
    struct node *node;
    enum status status = push_new(m, NODE_FLOAT, &node);
    if (status == STATUS_OK) node->real = value;
    return status;
}

/* Big-endian. */
static enum status push_binary_real(struct machine *m)
{
    uint64_t bits = 0;
    double value;
    for (size_t i = 0; i < 8; i++) bits = bits << 8 | m->text[i];
    memcpy(&value, &bits, sizeof value);
    return push_real(m, value);
}

static enum status push_line(struct machine *m, uint8_t opcode)
{
    char text[NUMBER_TEXT_BYTES];
    number_text(m, text);
    if (opcode == OP_FLOAT) return push_real(m, strtod(text, NULL));
    if (opcode == OP_INT && (!strcmp(text, "00") || !strcmp(text, "01")))
        return push_integer(m, NODE_BOOLEAN, text[1] == '1');
    if (opcode == OP_INT || opcode == OP_LONG) return push_integer(m, NODE_INTEGER, strtoll(text, NULL, 10));
    bool quoted = opcode == OP_STRING && m->text_bytes >= 2;
    return push_text(m, NODE_TEXT, m->text + quoted, m->text_bytes - 2 * quoted);
}

static enum status push_global(struct machine *m, const char *module, size_t n_module, const char *name,
                               size_t n_name)
{
    struct node *node;
    enum status status = push_new(m, NODE_GLOBAL, &node);
    if (status != STATUS_OK) return status;
    char *text = n_module + n_name < PICKLE_MAX_BYTES ? pool_small(m->pool, n_module + n_name + 2) : NULL;
    if (!text) return pool_spent(m->err);
    memcpy(text, module, n_module);
    text[n_module] = '.';
    memcpy(text + n_module + 1, name, n_name);
    node->text = text;
    node->bytes = n_module + n_name + 1;
    return STATUS_OK;
}

static enum status stack_global(struct machine *m)
{
    struct node *name = NULL, *module = NULL;
    enum status status = pop(m, &name);
    if (status == STATUS_OK) status = pop(m, &module);
    if (status != STATUS_OK) return status;
    if (name->kind != NODE_TEXT || module->kind != NODE_TEXT)
        return damaged(m, "the name of a global is no text");
    return push_global(m, module->text, module->bytes, name->text, name->bytes);
}

/* ------------------------------------------------------------------------------------------
 * Containers and calls */

static enum status push_list(struct machine *m, enum node_kind kind, size_t from)
{
    struct node *list;
    enum status status = new_node(m, kind, &list);
    if (status == STATUS_OK) status = add_from(m, from, list);
    return status == STATUS_OK ? push(m, list) : status;
}

static enum status push_marked(struct machine *m, enum node_kind kind)
{
    size_t from = 0;
    enum status status = pop_mark(m, &from);
    return status == STATUS_OK ? push_list(m, kind, from) : status;
}

static enum status push_tuple(struct machine *m, size_t n)
{
    if (m->n_stack - floor_of(m) < n) return damaged(m, "its stack is empty");
    return push_list(m, NODE_LIST, m->n_stack - n);
}

static enum status push_call(struct machine *m, struct node *callee, struct node *arguments)
{
    struct node *call;
    enum status status = push_new(m, NODE_CALL, &call);
    if (status != STATUS_OK) return status;
    call->callee = callee;
    call->arguments = arguments;
    return STATUS_OK;
}

/* REDUCE, NEWOBJ, and NEWOBJ_EX, whose keywords are left. */
static enum status call(struct machine *m, bool keywords)
{
    struct node *arguments = NULL, *callee = NULL, *left = NULL;
    enum status status = keywords ? pop(m, &left) : STATUS_OK;
    if (status == STATUS_OK) status = pop(m, &arguments);
    if (status == STATUS_OK) status = pop(m, &callee);
    return status == STATUS_OK ? push_call(m, callee, arguments) : status;
}

/* INST and OBJ: arguments above a mark; OBJ has its class first. */
static enum status call_marked(struct machine *m, bool has_name)
{
    struct node *arguments = NULL, *callee = NULL;
    enum status status = push_marked(m, NODE_LIST);
    if (status == STATUS_OK) status = pop(m, &arguments);
    if (status != STATUS_OK) return status;
    if (has_name) {
        status = push_global(m, (const char *)m->text, m->text_bytes, (const char *)m->text2, m->text2_bytes);
        if (status == STATUS_OK) status = pop(m, &callee);
        if (status != STATUS_OK) return status;
    } else if (arguments->n_items > 0) {
        callee = arguments->items[0];
        arguments->items++;
        arguments->n_items--;
        arguments->room = arguments->n_items;
    } else {
        return damaged(m, "a call of nothing");
    }
    return push_call(m, callee, arguments);
}

static enum status build(struct machine *m)
{
    struct node *state = NULL;
    enum status status = pop(m, &state);
    if (status != STATUS_OK) return status;
    if (m->n_stack <= floor_of(m)) return damaged(m, "its stack is empty");
    m->stack[m->n_stack - 1]->state = state;
    return STATUS_OK;
}

/* Put what lies above `from` into the container below it. */
static enum status fill(struct machine *m, size_t from, bool pairs)
{
    if (from > m->n_stack || from <= floor_of(m)) return damaged(m, "a container is missing");
    struct node *to = m->stack[from - 1];
    if (to->kind != NODE_LIST && to->kind != NODE_DICTIONARY && to->kind != NODE_CALL)
        return damaged(m, "items are put into what holds none");
    if (!pairs && to->kind == NODE_DICTIONARY) return damaged(m, "a dictionary gets values without keys");
    if (pairs && (m->n_stack - from) % 2) return damaged(m, "a key without a value");
    return add_from(m, from, to);
}

static enum status fill_marked(struct machine *m, bool pairs)
{
    size_t from = 0;
    enum status status = pop_mark(m, &from);
    return status == STATUS_OK ? fill(m, from, pairs) : status;
}

static enum status fill_some(struct machine *m, size_t n, bool pairs)
{
    if (m->n_stack < n) return damaged(m, "its stack is empty");
    return fill(m, m->n_stack - n, pairs);
}

static enum status put(struct machine *m, uint64_t i)
{
    if (m->n_stack <= floor_of(m)) return damaged(m, "its stack is empty");
    if (i > m->n_memo || i > PICKLE_MAX_NODES) {
        /* Numbers may begin at any one, but grow by one. */
        if (i > PICKLE_MAX_NODES) return damaged(m, "the number of a memo");
        while (m->n_memo < i) {
            enum status status =
                pool_grow(m->pool, (void **)&m->memo, m->n_memo, &m->memo_room, sizeof *m->memo, m->err);
            if (status != STATUS_OK) return status;
            m->memo[m->n_memo++] = NULL;
        }
    }
    enum status status =
        pool_grow(m->pool, (void **)&m->memo, m->n_memo, &m->memo_room, sizeof *m->memo, m->err);
    if (status != STATUS_OK) return status;
    m->memo[i] = m->stack[m->n_stack - 1];
    if (i == m->n_memo) m->n_memo++;
    return STATUS_OK;
}

static enum status get(struct machine *m, uint64_t i)
{
    if (i >= m->n_memo || !m->memo[i]) return damaged(m, "a memo that was never put");
    return push(m, m->memo[i]);
}

static enum status persistent(struct machine *m)
{
    struct node *name = NULL, *node = NULL;
    enum status status = pop(m, &name);
    if (status == STATUS_OK) status = push_new(m, NODE_PERSISTENT, &node);
    struct pickle *out = m->out;
    if (status == STATUS_OK)
        status = pool_grow(m->pool, (void **)&out->persistent, out->n_persistent, &out->room,
                           sizeof *out->persistent, m->err);
    if (status != STATUS_OK) return status;
    node->arguments = name;
    out->persistent[out->n_persistent++] = node;
    return STATUS_OK;
}

static enum status persistent_line(struct machine *m)
{
    enum status status = push_text(m, NODE_TEXT, m->text, m->text_bytes);
    return status == STATUS_OK ? persistent(m) : status;
}

static enum status mark(struct machine *m)
{
    enum status status =
        pool_grow(m->pool, (void **)&m->marks, m->n_marks, &m->marks_room, sizeof *m->marks, m->err);
    if (status == STATUS_OK) m->marks[m->n_marks++] = m->n_stack;
    return status;
}

static enum status pop_to_mark(struct machine *m)
{
    size_t from = 0;
    enum status status = pop_mark(m, &from);
    if (status == STATUS_OK) m->n_stack = from;
    return status;
}

static enum status drop(struct machine *m)
{
    struct node *node;
    if (m->n_marks && m->n_stack == floor_of(m)) return pop_to_mark(m);
    return pop(m, &node);
}

static enum status duplicate(struct machine *m)
{
    if (m->n_stack <= floor_of(m)) return damaged(m, "its stack is empty");
    return push(m, m->stack[m->n_stack - 1]);
}

/* ------------------------------------------------------------------------------------------ */

static enum status step(struct machine *m, enum opcode opcode)
{
    char text[NUMBER_TEXT_BYTES];
    switch (opcode) {
    case OP_MARK: return mark(m);
    case OP_POP: return drop(m);
    case OP_POP_MARK: return pop_to_mark(m);
    case OP_DUP: return duplicate(m);
    case OP_FLOAT:
    case OP_INT:
    case OP_LONG:
    case OP_STRING:
    case OP_UNICODE: return push_line(m, (uint8_t)opcode);
    case OP_PUT: return put(m, strtoull(number_text(m, text), NULL, 10));
    case OP_GET: return get(m, strtoull(number_text(m, text), NULL, 10));
    case OP_BINGET:
    case OP_LONG_BINGET: return get(m, m->number);
    case OP_BINPUT:
    case OP_LONG_BINPUT: return put(m, m->number);
    case OP_MEMOIZE: return put(m, m->n_memo);
    case OP_NONE: return push_integer(m, NODE_NONE, 0);
    case OP_NEWTRUE: return push_integer(m, NODE_BOOLEAN, 1);
    case OP_NEWFALSE: return push_integer(m, NODE_BOOLEAN, 0);
    case OP_BININT: return push_integer(m, NODE_INTEGER, (int32_t)(uint32_t)m->number);
    case OP_BININT1:
    case OP_BININT2: return push_integer(m, NODE_INTEGER, (int64_t)m->number);
    case OP_LONG1:
    case OP_LONG4: return push_long(m);
    case OP_BINFLOAT: return push_binary_real(m);
    case OP_BINUNICODE:
    case OP_SHORT_BINUNICODE:
    case OP_BINUNICODE8:
    case OP_BINSTRING:
    case OP_SHORT_BINSTRING: return push_text(m, NODE_TEXT, m->text, m->text_bytes);
    case OP_BINBYTES:
    case OP_SHORT_BINBYTES:
    case OP_BINBYTES8:
    case OP_BYTEARRAY8: return push_text(m, NODE_BYTES, m->text, m->text_bytes);
    case OP_EMPTY_LIST:
    case OP_EMPTY_TUPLE:
    case OP_EMPTY_SET: return push_list(m, NODE_LIST, m->n_stack);
    case OP_EMPTY_DICT: return push_list(m, NODE_DICTIONARY, m->n_stack);
    case OP_LIST:
    case OP_TUPLE:
    case OP_FROZENSET: return push_marked(m, NODE_LIST);
    case OP_DICT: return push_marked(m, NODE_DICTIONARY);
    case OP_TUPLE1: return push_tuple(m, 1);
    case OP_TUPLE2: return push_tuple(m, 2);
    case OP_TUPLE3: return push_tuple(m, 3);
    case OP_APPEND: return fill_some(m, 1, false);
    case OP_APPENDS:
    case OP_ADDITEMS: return fill_marked(m, false);
    case OP_SETITEM: return fill_some(m, 2, true);
    case OP_SETITEMS: return fill_marked(m, true);
    case OP_GLOBAL:
        return push_global(m, (const char *)m->text, m->text_bytes, (const char *)m->text2, m->text2_bytes);
    case OP_STACK_GLOBAL: return stack_global(m);
    case OP_REDUCE:
    case OP_NEWOBJ: return call(m, false);
    case OP_NEWOBJ_EX: return call(m, true);
    case OP_INST: return call_marked(m, true);
    case OP_OBJ: return call_marked(m, false);
    case OP_BUILD: return build(m);
    case OP_BINPERSID: return persistent(m);
    case OP_PERSID: return persistent_line(m);
    case OP_PROTO:
    case OP_FRAME:
    case OP_STOP: return STATUS_OK;
    }
    return damaged(m, "an opcode that is unknown");
}

enum status pickle_read(const uint8_t *bytes, size_t n, struct pool *pool, struct pickle *out,
                        struct error *err)
{
    struct machine m = {.bytes = bytes, .n = n, .pool = pool, .err = err, .out = out};
    *out = (struct pickle){0};
    if (n > PICKLE_MAX_BYTES)
        return error_set(err, STATUS_TOO_LONG, "a pickle of %zu bytes, expected at most %d", n,
                         (int)PICKLE_MAX_BYTES);
    while (m.at < n) {
        uint8_t opcode = bytes[m.at++];
        if (!read_argument(&m, opcode)) return damaged(&m, "an opcode or its argument");
        enum status status = step(&m, (enum opcode)opcode);
        if (status != STATUS_OK) return status;
        if (opcode != OP_STOP) continue;
        out->bytes = m.at;
        return pop(&m, &out->root);
    }
    return damaged(&m, "it ends before its end");
}

bool node_is(const struct node *node, enum node_kind kind)
{
    return node && node->kind == kind;
}

bool node_is_text(const struct node *node, const char *text)
{
    return node_is(node, NODE_TEXT) && node->bytes == strlen(text) &&
           memcmp(node->text, text, node->bytes) == 0;
}

const char *node_class(const struct node *node)
{
    if (node_is(node, NODE_CALL)) node = node->callee;
    return node_is(node, NODE_GLOBAL) ? node->text : "";
}

bool node_calls(const struct node *node, const char *name)
{
    return strcmp(node_class(node), name) == 0;
}

bool node_is_mapping(const struct node *node)
{
    return node_is(node, NODE_DICTIONARY) ||
           (node_is(node, NODE_CALL) && (node->n_items > 0 || node_calls(node, "collections.OrderedDict") ||
                                         node_calls(node, "collections.defaultdict")));
}

/* The last one counts, as in Python. */
static struct node *find_key(const struct node *node, const char *key)
{
    for (size_t i = node->n_items / 2; i-- > 0;)
        if (node_is_text(node->items[2 * i], key)) return node->items[2 * i + 1];
    return NULL;
}

struct node *node_get(const struct node *node, const char *key)
{
    if (!node) return NULL;
    struct node *found = node_is_mapping(node) ? find_key(node, key) : NULL;
    if (!found && node_is(node, NODE_CALL) && node_is(node->state, NODE_DICTIONARY))
        found = find_key(node->state, key);
    return found;
}

struct node *node_item(const struct node *node, size_t i)
{
    return node && i < node->n_items ? node->items[i] : NULL;
}
