#include "models/formats/inflate.h"

#define ZLIB_CONST
#include <limits.h>
#include <zlib.h>

enum { WINDOW_BITS = 15 };

bool inflate_block(const uint8_t *in, size_t n_in, uint8_t *out, size_t n_out, bool wrapped)
{
    z_stream stream = {0};
    if (n_in > UINT_MAX || n_out > UINT_MAX || n_out == 0) return false;
    stream.next_in = in;
    stream.avail_in = (uInt)n_in;
    stream.next_out = out;
    stream.avail_out = (uInt)n_out;
    if (inflateInit2(&stream, wrapped ? WINDOW_BITS : -WINDOW_BITS) != Z_OK) return false;
    int code = inflate(&stream, Z_FINISH);
    inflateEnd(&stream);
    return code == Z_STREAM_END && stream.avail_out == 0;
}

uint32_t inflate_crc(const uint8_t *bytes, size_t n)
{
    uint32_t crc = (uint32_t)crc32(0, Z_NULL, 0);
    for (size_t at = 0, part; at < n; at += part) {
        part = n - at < INT_MAX ? n - at : INT_MAX;
        crc = (uint32_t)crc32(crc, bytes + at, (uInt)part);
    }
    return crc;
}
