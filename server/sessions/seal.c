#include "server/sessions/seal.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/half.h"
#include "models/jobs/rest.h"
#include "models/text/hash.h"

enum {
    ID = SEAL_KEY_ID_BYTES - 1, NONCE = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    KEY = crypto_aead_xchacha20poly1305_ietf_KEYBYTES, TAG = crypto_aead_xchacha20poly1305_ietf_ABYTES,
    FILE_BYTES = 1 << 16, FORMAT = 1, VARIANT = sodium_base64_VARIANT_URLSAFE_NO_PADDING
};
static const char prefix[] = "cs1.", purpose[] = "carousel state 1";

struct seal_key {
    char id[SEAL_KEY_ID_BYTES];
    unsigned char key[KEY];
};

struct seal_ring {
    const char *path;
    pthread_mutex_t mu; /* guards the rest */
    struct seal_key keys[SEAL_KEYS_MAX];
    size_t n;
};

/* ---- the keys ------------------------------------------------------------------------------- */

static const char id_letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-";

static bool has_id(const struct seal_key *keys, size_t n, const char *id)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(keys[i].id, id)) return true;
    return false;
}

/* One line without its end: id, blanks, digits. Return NULL, or what is wrong. */
static const char *read_line(const char *line, size_t n, const struct seal_key *keys, size_t n_keys,
                             struct seal_key *key)
{
    size_t n_id = 0, bytes;
    while (n_id < n && strchr(id_letters, line[n_id]) && line[n_id]) n_id++;
    if (n_id < 1 || n_id > ID) return "expected an id of 1 to 8 letters and digits first";
    memcpy(key->id, line, n_id);
    size_t at = n_id;
    while (at < n && (line[at] == ' ' || line[at] == '\t')) at++;
    if (at == n_id || n - at != 2 * (size_t)KEY ||
        sodium_hex2bin(key->key, KEY, line + at, n - at, NULL, &bytes, NULL) || bytes != KEY)
        return "expected 64 hexadecimal digits after the id";
    return has_id(keys, n_keys, key->id) ? "the id stands there twice; expected each once" : NULL;
}

enum status seal_ring_read(struct seal_ring *ring, const char *text, size_t bytes, const char *name,
                           struct error *err)
{
    struct seal_key keys[SEAL_KEYS_MAX] = {0};
    const char *wrong = NULL;
    size_t n = 0, line = 0;
    for (size_t at = 0; at < bytes && !wrong;) {
        const char *end = memchr(text + at, '\n', bytes - at);
        size_t length = end ? (size_t)(end - text) - at : bytes - at, begin = at;
        at += length + 1;
        line++;
        while (length && strchr(" \t\r", text[begin + length - 1])) length--;
        if (!length || text[begin] == '#') continue;
        if (n == SEAL_KEYS_MAX) wrong = "more than 16 keys; remove old ones";
        else wrong = read_line(text + begin, length, keys, n, &keys[n]);
        n += !wrong;
    }
    if (!wrong) {
        pthread_mutex_lock(&ring->mu);
        memcpy(ring->keys, keys, sizeof keys);
        ring->n = n;
        pthread_mutex_unlock(&ring->mu);
    }
    sodium_memzero(keys, sizeof keys);
    return wrong ? error_set(err, STATUS_BAD_FORMAT, "%s:%zu: %s", name, line, wrong) : STATUS_OK;
}

enum status seal_ring_reread(struct seal_ring *ring, struct error *err)
{
    if (!*ring->path) return STATUS_OK;
    FILE *file = fopen(ring->path, "rb");
    if (!file)
        return error_set_param(err, STATUS_IO, "sessions.seal_keys_file", "cannot open the keys of states "
                                                                          "%s: %s",
                               ring->path, strerror(errno));
    enum status status = STATUS_NO_MEMORY;
    char *text = malloc(FILE_BYTES);
    size_t bytes = text ? fread(text, 1, FILE_BYTES, file) : 0;
    if (!text) error_set(err, status, "no memory for the keys of states");
    else if (ferror(file) || bytes == FILE_BYTES)
        status = error_set(err, STATUS_IO, "cannot read the keys of states %s, or it is too long",
                           ring->path);
    else status = seal_ring_read(ring, text, bytes, ring->path, err);
    if (text) sodium_memzero(text, FILE_BYTES);
    free(text);
    fclose(file);
    return status;
}

enum status seal_ring_open(const char *path, struct seal_ring **out, struct error *err)
{
    struct seal_ring *ring = calloc(1, sizeof *ring);
    if (!ring || sodium_init() < 0) {
        free(ring);
        return error_set(err, STATUS_NO_MEMORY, "the library of the seals does not start");
    }
    ring->path = path;
    pthread_mutex_init(&ring->mu, NULL);
    enum status status = seal_ring_reread(ring, err);
    if (status == STATUS_OK) *out = ring;
    else seal_ring_close(ring);
    return status;
}

void seal_ring_close(struct seal_ring *ring)
{
    if (!ring) return;
    pthread_mutex_destroy(&ring->mu);
    sodium_memzero(ring, sizeof *ring);
    free(ring);
}

bool seal_has_keys(struct seal_ring *ring)
{
    pthread_mutex_lock(&ring->mu);
    bool any = ring->n > 0;
    pthread_mutex_unlock(&ring->mu);
    return any;
}

const char *seal_key_ids(struct seal_ring *ring, char *out, size_t room)
{
    size_t n = 0;
    *out = '\0';
    pthread_mutex_lock(&ring->mu);
    for (size_t i = 0; i < ring->n && n + SEAL_KEY_ID_BYTES + 2 < room; i++)
        n += (size_t)snprintf(out + n, room - n, "%s%s", i ? ", " : "", ring->keys[i].id);
    pthread_mutex_unlock(&ring->mu);
    return out;
}

/* The key of an id; NULL: the one that seals. false if there is none. */
static bool find_key(struct seal_ring *ring, const char *id, struct seal_key *out)
{
    bool found = false;
    pthread_mutex_lock(&ring->mu);
    for (size_t i = ring->n; i-- > 0 && !found;) {
        found = !id || !memcmp(ring->keys[i].id, id, ID);
        if (found) *out = ring->keys[i];
    }
    pthread_mutex_unlock(&ring->mu);
    return found;
}

/* ---- the fields ----------------------------------------------------------------------------- */

struct fields {
    uint32_t format, half;
    unsigned char hash[HASH_BYTES], owner[HASH_BYTES];
    char task[SEAL_TASK_BYTES], model[MODEL_NAME_BYTES + 1], version[MODEL_VERSION_BYTES + 1];
    int64_t created_s, expires_s;
    uint64_t step, n_floats, n_rest;
};

static void walk(struct rest *rest, struct fields *f)
{
    rest_field(rest, &f->format, sizeof f->format);
    rest_field(rest, &f->half, sizeof f->half);
    rest_field(rest, f->hash, sizeof f->hash);
    rest_field(rest, f->owner, sizeof f->owner);
    rest_field(rest, f->task, sizeof f->task);
    rest_field(rest, f->model, sizeof f->model);
    rest_field(rest, f->version, sizeof f->version);
    rest_field(rest, &f->created_s, sizeof f->created_s);
    rest_field(rest, &f->expires_s, sizeof f->expires_s);
    rest_field(rest, &f->step, sizeof f->step);
    rest_field(rest, &f->n_floats, sizeof f->n_floats);
    rest_field(rest, &f->n_rest, sizeof f->n_rest);
}

static size_t fields_bytes(void)
{
    struct rest rest = {.use = REST_MEASURE};
    struct fields fields;
    walk(&rest, &fields);
    return rest.at;
}

static void hash_owner(const char *owner, uint8_t hash[HASH_BYTES])
{
    hash_bytes(owner, strlen(owner), hash);
}

/* false if a float does not fit. */
static bool put_floats(struct rest *rest, const struct state *state, bool half, double *loss)
{
    *loss = 0;
    if (!half) rest_field(rest, state->floats, state->n_floats * sizeof(float));
    for (size_t i = 0; half && i < state->n_floats; i++) {
        float x = state->floats[i];
        if (!(fabsf(x) <= 65504)) return false;
        uint16_t rounded = half_of(x);
        *loss = fmax(*loss, fabs((double)x - (double)half_float(rounded)));
        rest_field(rest, &rounded, sizeof rounded);
    }
    return true;
}

static bool get_floats(struct rest *rest, bool half, struct state *state)
{
    if (!half) rest_field(rest, state->floats, state->n_floats * sizeof(float));
    for (size_t i = 0; half && i < state->n_floats; i++) {
        uint16_t rounded;
        rest_field(rest, &rounded, sizeof rounded);
        state->floats[i] = half_float(rounded);
    }
    for (size_t i = 0; i < state->n_floats; i++)
        if (!isfinite(state->floats[i])) return false;
    return true;
}

/* ---- tokens --------------------------------------------------------------------------------- */

static size_t additional_data(const char *id, unsigned char out[sizeof purpose + ID])
{
    memcpy(out, purpose, sizeof purpose);
    memcpy(out + sizeof purpose, id, ID);
    return sizeof purpose + ID;
}

/* Encrypt plain[0..n) and write the whole as text. */
static char *write_token(const struct seal_key *key, const unsigned char *plain, size_t n)
{
    unsigned char data[sizeof purpose + ID], *token = malloc(ID + NONCE + n + TAG);
    size_t bytes = ID + NONCE + n + TAG, room = sizeof prefix + sodium_base64_ENCODED_LEN(bytes, VARIANT);
    char *text = malloc(room);
    if (token && text) {
        memcpy(token, key->id, ID);
        randombytes_buf(token + ID, NONCE);
        crypto_aead_xchacha20poly1305_ietf_encrypt(token + ID + NONCE, NULL, plain, n, data,
                                                   additional_data(key->id, data), NULL, token + ID,
                                                       key->key);
        memcpy(text, prefix, sizeof prefix);
        sodium_bin2base64(text + sizeof prefix - 1, room - sizeof prefix + 1, token, bytes, VARIANT);
    } else {
        free(text);
        text = NULL;
    }
    free(token);
    return text;
}

char *seal_make(struct seal_ring *ring, const struct model *model, const struct state *state,
                const char *owner, int64_t now_s, int64_t expires_s, bool half, double *loss)
{
    struct seal_key key;
    struct fields fields = {.format = FORMAT, .half = half, .created_s = now_s, .expires_s = expires_s,
                            .step = state->step, .n_floats = state->n_floats, .n_rest = state->n_rest};
    size_t n = fields_bytes() + state->n_floats * (half ? sizeof(uint16_t) : sizeof(float)) + state->n_rest;
    struct rest rest = {.use = REST_WRITE, .n = n, .bytes = malloc(n)};
    char *text = NULL;
    hash_owner(owner, fields.owner);
    sodium_hex2bin(fields.hash, sizeof fields.hash, model->hash, strlen(model->hash), NULL, NULL, NULL);
    snprintf(fields.task, sizeof fields.task, "%s", model->task->name);
    memcpy(fields.model, model->name, sizeof fields.model);
    memcpy(fields.version, model->version, sizeof fields.version);
    if (rest.bytes && find_key(ring, NULL, &key)) {
        walk(&rest, &fields);
        bool fits = put_floats(&rest, state, half, loss);
        rest_field(&rest, state->rest, state->n_rest);
        if (fits) text = write_token(&key, rest.bytes, n);
        sodium_memzero(&key, sizeof key);
    }
    free(rest.bytes);
    return text;
}

bool seal_is_token(const char *text)
{
    return !strncmp(text, prefix, sizeof prefix - 1);
}

/* What is inside, once the tag has been found right. */
static enum seal_opened read_plain(unsigned char *plain, size_t n, const char *owner, int64_t now_s,
                                   struct sealed *out)
{
    struct rest rest = {.use = REST_READ, .bytes = plain, .n = n};
    struct fields f;
    uint8_t ours[HASH_BYTES];
    walk(&rest, &f);
    size_t each = f.half ? sizeof(uint16_t) : sizeof(float), left = n - rest.at;
    if (rest.failed || f.format != FORMAT || f.half > 1 || f.n_floats > left / each ||
        f.n_rest != left - f.n_floats * each)
        return SEAL_TAMPERED;
    hash_owner(owner, ours);
    if (!hash_equal(ours, f.owner)) return SEAL_OTHER_OWNER;
    if (f.expires_s <= now_s) return SEAL_EXPIRED;
    if (state_new(f.step, (size_t)f.n_floats, (size_t)f.n_rest,
                  &out->state) != STATUS_OK) return SEAL_NO_MEMORY;
    bool good = get_floats(&rest, f.half, out->state);
    rest_field(&rest, out->state->rest, out->state->n_rest);
    if (!good || !rest_is_over(&rest)) {
        state_drop(out->state);
        out->state = NULL;
        return SEAL_TAMPERED;
    }
    snprintf(out->task, sizeof out->task, "%.*s", SEAL_TASK_BYTES - 1, f.task);
    snprintf(out->model, sizeof out->model, "%.*s", MODEL_NAME_BYTES, f.model);
    snprintf(out->version, sizeof out->version, "%.*s", MODEL_VERSION_BYTES, f.version);
    hash_print(f.hash, out->hash);
    out->created_s = f.created_s;
    out->expires_s = f.expires_s;
    return SEAL_OPENED;
}

static enum seal_opened open_bytes(struct seal_ring *ring, unsigned char *token, size_t n, const char *owner,
                                   int64_t now_s, struct sealed *out)
{
    unsigned char data[sizeof purpose + ID], *inside = token + ID + NONCE;
    struct seal_key key;
    unsigned long long bytes;
    if (n < ID + NONCE + TAG + fields_bytes()) return SEAL_TAMPERED;
    if (!find_key(ring, (const char *)token, &key)) return SEAL_UNKNOWN_KEY;
    int wrong = crypto_aead_xchacha20poly1305_ietf_decrypt(inside, &bytes, NULL, inside, n - ID - NONCE, data,
                                                           additional_data(key.id, data), token + ID,
                                                               key.key);
    sodium_memzero(&key, sizeof key);
    return wrong ? SEAL_TAMPERED : read_plain(inside, (size_t)bytes, owner, now_s, out);
}

enum seal_opened seal_open(struct seal_ring *ring, const char *text, size_t n, const char *owner,
                           int64_t now_s,
                           struct sealed *out)
{
    size_t bytes, begin = sizeof prefix - 1;
    *out = (struct sealed){.state = NULL};
    if (n < begin || memcmp(text, prefix, begin)) return SEAL_TAMPERED;
    unsigned char *token = malloc(n);
    if (!token) return SEAL_NO_MEMORY;
    const char *end;
    bool good = !sodium_base642bin(token, n, text + begin, n - begin, NULL, &bytes, &end, VARIANT) &&
                end == text + n;
    enum seal_opened opened = good ? open_bytes(ring, token, bytes, owner, now_s, out) : SEAL_TAMPERED;
    free(token);
    return opened;
}
