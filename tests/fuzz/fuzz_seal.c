/* Any bytes as a token, as what a token with the right tag holds, and as a file of keys. Bytes without the
 * tag must never open; what opens must be whole, finite and for its owner; a refused file of keys must name a
 * line. */
#include "server/sessions/seal.h"

#include <assert.h>
#include <math.h>
#include <sodium.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char keys[] = "a 000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n";
static const char purpose[] = "carousel state 1";
enum { ID = 8, NONCE = 24, TAG = 16, NOW = 1000 };

static void check(struct seal_ring *ring, const char *text, size_t n)
{
    struct sealed sealed;
    enum seal_opened opened = seal_open(ring, text, n, "", NOW, &sealed);
    assert((opened == SEAL_OPENED) == (sealed.state != NULL));
    if (opened != SEAL_OPENED) return;
    assert(sealed.expires_s > NOW && strlen(sealed.hash) == 64);
    for (size_t i = 0; i < sealed.state->n_floats; i++) assert(isfinite(sealed.state->floats[i]));
    assert(state_bytes(sealed.state) < 4 * n + sizeof(struct state));
    state_drop(sealed.state);
}

/* The bytes as the inside of a token that the key made. */
static void check_inside(struct seal_ring *ring, const uint8_t *data, size_t size)
{
    unsigned char key[32], id_and_purpose[sizeof purpose + ID] = {0};
    size_t bytes = ID + NONCE + size + TAG, room = 5 + bytes * 4 / 3 + 4;
    unsigned char *token = calloc(1, bytes);
    char *text = malloc(room);
    if (token && text) {
        for (unsigned char i = 0; i < sizeof key; i++) key[i] = i;
        token[0] = 'a';
        memcpy(id_and_purpose, purpose, sizeof purpose);
        memcpy(id_and_purpose + sizeof purpose, token, ID);
        crypto_aead_xchacha20poly1305_ietf_encrypt(token + ID + NONCE, NULL, data, size, id_and_purpose,
                                                   sizeof id_and_purpose, NULL, token + ID, key);
        memcpy(text, "cs1.", 4);
        sodium_bin2base64(text + 4, room - 4, token, bytes, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
        check(ring, text, strlen(text));
    }
    free(token);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct seal_ring *ring;
    struct error err = {0};
    if (seal_ring_open("", &ring, &err) != STATUS_OK) return 0;
    if (seal_ring_read(ring, (const char *)data, size, "keys", &err) != STATUS_OK)
        assert(!strncmp(err.message, "keys:", 5));
    if (seal_ring_read(ring, keys, sizeof keys - 1, "keys", &err) == STATUS_OK) {
        check(ring, (const char *)data, size);
        check_inside(ring, data, size);
    }
    seal_ring_close(ring);
    return 0;
}
