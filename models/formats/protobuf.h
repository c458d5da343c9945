/* protobuf: the fields of one message, in order (https://protobuf.dev/programming-guides/encoding/). Reads
 * within its bytes only; what does not fit sets `bad` and ends the message. Pure; any thread. */
#ifndef CAROUSEL_MODELS_IMPORT_PROTOBUF_H
#define CAROUSEL_MODELS_IMPORT_PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct protobuf {
    const uint8_t *bytes; /* [n] that are left */
    size_t n;
    bool bad;
};

struct protobuf_field {
    uint32_t number;
    bool is_bytes;        /* else value */
    uint64_t value;       /* a varint, or the bits of a fixed number */
    const uint8_t *bytes; /* [n] */
    size_t n;
};

/* The next field; false at the end, or if the message is damaged. */
bool protobuf_next(struct protobuf *message, struct protobuf_field *out);
/* A varint at the front of a packed field; false if there is none left. */
bool protobuf_varint(struct protobuf *packed, uint64_t *out);
/* The message in a field of bytes. */
struct protobuf protobuf_open(const struct protobuf_field *field);

#endif
