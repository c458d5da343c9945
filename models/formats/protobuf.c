#include "models/formats/protobuf.h"

enum { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5, MAX_VARINT = 10 };

bool protobuf_varint(struct protobuf *p, uint64_t *out)
{
    *out = 0;
    for (size_t i = 0; i < MAX_VARINT && i < p->n; i++) {
        *out |= (uint64_t)(p->bytes[i] & 0x7f) << 7 * i;
        if (p->bytes[i] & 0x80) continue;
        p->bytes += i + 1;
        p->n -= i + 1;
        return true;
    }
    p->bad = p->bad || p->n > 0;
    p->n = 0;
    return false;
}

static bool read_fixed(struct protobuf *p, size_t bytes, uint64_t *out)
{
    *out = 0;
    if (bytes > p->n) return false;
    for (size_t i = bytes; i-- > 0;) *out = *out << 8 | p->bytes[i];
    p->bytes += bytes;
    p->n -= bytes;
    return true;
}

static bool read_bytes(struct protobuf *p, struct protobuf_field *out)
{
    uint64_t n;
    if (!protobuf_varint(p, &n) || n > p->n) return false;
    out->is_bytes = true;
    out->bytes = p->bytes;
    out->n = (size_t)n;
    p->bytes += n;
    p->n -= (size_t)n;
    return true;
}

bool protobuf_next(struct protobuf *p, struct protobuf_field *out)
{
    uint64_t tag;
    bool good = false;
    *out = (struct protobuf_field){0};
    if (p->n == 0 || !protobuf_varint(p, &tag)) return false;
    out->number = (uint32_t)(tag >> 3);
    switch (tag & 7) {
    case WIRE_VARINT: good = protobuf_varint(p, &out->value); break;
    case WIRE_64: good = read_fixed(p, 8, &out->value); break;
    case WIRE_32: good = read_fixed(p, 4, &out->value); break;
    case WIRE_BYTES: good = read_bytes(p, out); break;
    default: break;
    }
    if (!good) p->bad = true, p->n = 0;
    return good && out->number > 0;
}

struct protobuf protobuf_open(const struct protobuf_field *field)
{
    return (struct protobuf){field->bytes, field->n, !field->is_bytes};
}
