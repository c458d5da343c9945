#include "server/cli/picture_file.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "models/media/image.h"
#include "models/text/base64.h"

char *picture_file_url(const char *path, size_t most)
{
    FILE *file = fopen(path, "rb");
    if (!file) return fprintf(stderr, "carousel: %s: %s\n", path, strerror(errno)), NULL;
    uint8_t *bytes = malloc(most + 1);
    size_t n = bytes ? fread(bytes, 1, most + 1, file) : 0, at = 0;
    const char *type = bytes ? image_media_type(bytes, n) : NULL;
    char *url = type && n <= most ? malloc(2 * n + 64) : NULL;
    if (url) at = (size_t)snprintf(url, 64, "data:%s;base64,", type);
    if (url) base64_write(bytes, n, url + at);
    if (!bytes || (!url && type && n <= most)) fprintf(stderr, "carousel: no memory\n");
    else if (n > most) fprintf(stderr, "carousel: %s: over %zu bytes (limits.body_bytes)\n", path, most);
    else if (!type) fprintf(stderr, "carousel: %s: expected a PNG, JPEG or GIF file\n", path);
    free(bytes);
    fclose(file);
    return url;
}
