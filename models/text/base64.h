/* base64: RFC 4648, section 4, as data URLs carry bytes. Pure; any thread. */
#ifndef CAROUSEL_MODELS_BASE64_H
#define CAROUSEL_MODELS_BASE64_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Return the bytes of room that n characters need. */
size_t base64_room(size_t n);

/* Decode text[0..n) to out[base64_room]. Padding may be left out; white space may not be there. false if the
 * text is no base64: another character, a wrong length, bits that stand for nothing. */
bool base64_read(const char *text, size_t n, uint8_t *out, size_t *bytes);

/* Write n bytes to out[4 * ((n + 2) / 3) + 1], with padding and a zero byte. */
void base64_write(const uint8_t *bytes, size_t n, char *out);

#endif
