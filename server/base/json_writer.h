/* json_writer: answers, written into one growing buffer with a limit.
 *
 * A writer puts the commas itself and remembers its first failure (no memory, over the limit), after
 * which every call does nothing; look at writer_failed once, at the end. Texts that are not UTF-8 get
 * U+FFFD for each bad byte, so that an answer is always valid JSON. Numbers are printed in the shortest form
 * that reads back as the same double or float; NaN and infinity become null.
 *
 * Caller's storage, one thread. writer_init (cannot fail) -> writes -> writer_take, which
 * hands the text over, or writer_release. */
#ifndef CAROUSEL_SERVER_JSON_WRITER_H
#define CAROUSEL_SERVER_JSON_WRITER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct writer {
    char *text;      /* owned */
    size_t n;        /* bytes written */
    size_t capacity, limit;
    bool need_comma, failed, is_over; /* is_over: it failed for its limit */
};

/* At most `limit` bytes. */
void writer_init(struct writer *writer, size_t limit);
void writer_release(struct writer *writer);
/* Forget what is written, keep the memory; a failure is forgotten too. */
void writer_clear(struct writer *writer);
bool writer_failed(const struct writer *writer);
/* Make it fail: what was to be written could not be had. */
void writer_fail(struct writer *writer);
/* Returns the text, zero-terminated, owned by the caller (free), and its length; the writer is as
 * released. NULL if it failed. */
char *writer_take(struct writer *writer, size_t *bytes);

/* Bytes as they stand: for what is not JSON (event framing) or already is. */
void put_raw(struct writer *writer, const char *text, size_t bytes);

void put_open(struct writer *writer, char bracket);  /* '{' or '[' */
void put_close(struct writer *writer, char bracket); /* '}' or ']' */
void put_name(struct writer *writer, const char *name);
void put_string(struct writer *writer, const char *text);
void put_string_n(struct writer *writer, const char *text, size_t bytes);
/* A string of the bytes in base64 (RFC 4648, 4), with padding. */
void put_base64(struct writer *writer, const uint8_t *bytes, size_t n);
void put_integer(struct writer *writer, int64_t value);
void put_double(struct writer *writer, double value);
void put_float(struct writer *writer, float value);
/* Milliseconds and the like: at most three decimals. */
void put_rounded(struct writer *writer, double value);
void put_boolean(struct writer *writer, bool value);
void put_null(struct writer *writer);

/* name and value in one. */
void put_named_string(struct writer *writer, const char *name, const char *text);
void put_named_integer(struct writer *writer, const char *name, int64_t value);
void put_named_rounded(struct writer *writer, const char *name, double value);
void put_named_boolean(struct writer *writer, const char *name, bool value);

#endif
