/* Any bytes as what a connection receives. However they are cut, the same bytes go on and the same request is
 * in doubt; what goes on is no longer than what came, but for the end that takes the place of a request in
 * doubt; and what went on passes a second time as it is, so that there is one form only. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "server/http/framing.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIMIT = 1024, SUBSTITUTE = 64, ROOM = 100 };

struct passed {
    char *bytes;
    size_t n, room;
    unsigned n_heads;
    bool faulty;
    struct problem problem;
};

static void give(struct framing *framing, struct passed *out)
{
    size_t n;
    do {
        assert(out->n + ROOM <= out->room);
        n = framing_give(framing, out->bytes + out->n, ROOM);
        out->n += n;
    } while (n == ROOM);
}

/* Pieces grow and shrink by the bytes themselves if `piece` is 0. */
static void pass(const char *bytes, size_t n, size_t piece, struct passed *out)
{
    struct framing framing;
    *out = (struct passed){.room = n + SUBSTITUTE + 2 * ROOM};
    out->bytes = malloc(out->room);
    assert(out->bytes);
    framing_open(&framing, LIMIT);
    for (size_t at = 0, most; at < n; at += most) {
        size_t want = piece ? piece : 1 + (unsigned char)bytes[at] % 61u, space;
        most = n - at < want ? n - at : want;
        if (framing_direct(&framing, most)) {
            memcpy(out->bytes + out->n, bytes + at, most);
            framing_pass(&framing, most);
            out->n += most;
            continue;
        }
        char *into = framing_room(&framing, &space);
        assert(into && space > 0);
        if (most > space) most = space;
        memcpy(into, bytes + at, most);
        framing_take(&framing, most);
        give(&framing, out);
    }
    out->n_heads = framing.n_heads;
    out->faulty = framing_fault(&framing, framing.n_heads, &out->problem);
    framing_close(&framing);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t pieces[] = {1, 0, 17};
    struct passed whole, other;
    pass((const char *)data, size, SIZE_MAX, &whole);
    assert(whole.n <= size + SUBSTITUTE);
    for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
        pass((const char *)data, size, pieces[i], &other);
        assert(other.n == whole.n && !memcmp(other.bytes, whole.bytes, whole.n));
        assert(other.n_heads == whole.n_heads && other.faulty == whole.faulty);
        assert(other.problem.fault == whole.problem.fault);
        free(other.bytes);
    }
    pass(whole.bytes, whole.n, SIZE_MAX, &other);
    assert(!other.faulty && other.n == whole.n && !memcmp(other.bytes, whole.bytes, whole.n));
    free(other.bytes);
    free(whole.bytes);
    return 0;
}
