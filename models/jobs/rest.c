#include "models/jobs/rest.h"

#include <stdint.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the fields of a rest are little-endian");

void rest_field(struct rest *rest, void *field, size_t bytes)
{
    if (!bytes) return; /* of nothing, which may have no address */
    rest->failed |= rest->use == REST_MEASURE ? bytes > SIZE_MAX - rest->at : bytes > rest->n - rest->at;
    if (rest->failed) {
        if (rest->use == REST_READ) memset(field, 0, bytes);
        return;
    }
    if (rest->use == REST_WRITE) memcpy(rest->bytes + rest->at, field, bytes);
    if (rest->use == REST_READ) memcpy(field, rest->bytes + rest->at, bytes);
    rest->at += bytes;
}

bool rest_is_over(const struct rest *rest)
{
    return !rest->failed && rest->at == rest->n;
}
