/* inflate: raw deflate (RFC 1951), unpacked into a block of known size. By zlib, which this file's source
 * alone includes on this floor. Any thread. */
#ifndef CAROUSEL_MODELS_IMPORT_INFLATE_H
#define CAROUSEL_MODELS_IMPORT_INFLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Unpack in[0..n_in) into exactly out[0..n_out). false if the data are damaged, give another number of bytes,
 * or there is no memory. `wrapped`: with zlib's header and sum (RFC 1950), as HDF5's filter has it. */
bool inflate_block(const uint8_t *in, size_t n_in, uint8_t *out, size_t n_out, bool wrapped);
/* The CRC-32 of zip. */
uint32_t inflate_crc(const uint8_t *bytes, size_t n);

#endif
