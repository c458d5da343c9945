/* The file of keys, and the clients behind them.
 *
 * A request is matched by the hash of what it sent, against every key there is and without stopping at a
 * match: neither how far a comparison went nor which line matched shows in the time. */
#include "server/keys.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/clock.h"
#include "core/memory.h"
#include "core/sequence.h"
#include "server/quota.h"

struct client {
    struct keys *keys;
    char name[KEY_NAME_BYTES];
    struct key key; /* the line in force */
    uint32_t share;
    size_t n_held;  /* requests */
    bool listed;    /* its line is in the file */
    struct quota requests, steps;
};

struct keys {
    const char *path;
    pthread_mutex_t mu;       /* guards the rest, and clients but for their names */
    struct client **clients;  /* [n], owned */
    size_t n;
    bool has_admin;
};

/* ---- words of the file ---------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum scopes bit;
} scope_names[] = {{"infer", SCOPES_INFER}, {"metrics", SCOPES_METRICS}, {"admin", SCOPES_ADMIN}};

enum { N_SCOPES = sizeof scope_names / sizeof *scope_names };

const char *scopes_print(enum scopes scopes, char out[SCOPES_TEXT_BYTES])
{
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < N_SCOPES; i++)
        if (scopes & scope_names[i].bit)
            n += (size_t)snprintf(out + n, SCOPES_TEXT_BYTES - n, "%s%s", n ? "," : "", scope_names[i].name);
    return out;
}

bool scopes_parse(const char *text, enum scopes *out)
{
    unsigned scopes = 0;
    for (;;) {
        size_t n = strcspn(text, ","), i = 0;
        while (i < N_SCOPES && (strlen(scope_names[i].name) != n || strncmp(scope_names[i].name, text, n)))
            i++;
        if (i == N_SCOPES) return false;
        scopes |= scope_names[i].bit;
        text += n;
        if (!*text++) break;
    }
    *out = (enum scopes)scopes;
    return true;
}

bool key_name_is_valid(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t n = strlen(name);
    return n && n < KEY_NAME_BYTES && strspn(name, allowed) == n;
}

/* "sha256:" and 64 lower-case digits. */
static bool parse_hash(const char *text, uint8_t hash[HASH_BYTES])
{
    static const char prefix[] = "sha256:", digits[] = "0123456789abcdef";
    if (strncmp(text, prefix, sizeof prefix - 1)) return false;
    text += sizeof prefix - 1;
    if (strlen(text) != 2 * HASH_BYTES || strspn(text, digits) != 2 * HASH_BYTES) return false;
    for (size_t i = 0; i < HASH_BYTES; i++)
        hash[i] = (uint8_t)((strchr(digits, text[2 * i]) - digits) << 4 |
                            (strchr(digits, text[2 * i + 1]) - digits));
    return true;
}

static bool parse_number(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
    size_t n = strlen(text);
    if (!n || n > 15 || strspn(text, "0123456789") != n) return false;
    *out = strtoull(text, NULL, 10);
    return *out >= least && *out <= most;
}

bool key_priority_parse(const char *text, struct key *key)
{
    uint64_t number;
    bool negative = *text == '-';
    if (!parse_number(text + negative, 0, negative ? -SEQUENCE_PRIORITY_MIN : SEQUENCE_PRIORITY_MAX, &number))
        return false;
    key->has_max_priority = true;
    key->max_priority = negative ? -(int)number : (int)number;
    return true;
}

/* "name=value" into the key; `seen` has a bit for each. NULL, or what was expected. */
static const char *take_word(struct key *key, const char *word, unsigned *seen)
{
    enum { SCOPES, REQUESTS, STEPS, WEIGHT, MAX_PRIORITY, N_WORDS };
    static const char *const names[N_WORDS] = {
        "scopes=", "requests_per_minute=", "steps_per_minute=", "weight=", "max_priority="};
    size_t i = 0;
    uint64_t number = 0;
    while (i < N_WORDS && strncmp(word, names[i], strlen(names[i]))) i++;
    if (i == N_WORDS) return "scopes=, requests_per_minute=, steps_per_minute=, weight= or max_priority=";
    if (*seen >> i & 1) return "each word once";
    *seen |= 1u << i;
    word += strlen(names[i]);
    if (i == SCOPES)
        return scopes_parse(word, &key->scopes) ? NULL
                                                : "a list of infer, metrics and admin with commas between";
    if (i == MAX_PRIORITY) return key_priority_parse(word, key) ? NULL : "a priority from -10 to 10";
    if (i == WEIGHT && !parse_number(word, 1, KEY_MAX_WEIGHT, &number)) return "a weight from 1 to 100";
    if (i == WEIGHT) return key->weight = (uint32_t)number, NULL;
    if (!parse_number(word, 0, 1000000000000, &number)) return "a number from 0 to 1000000000000";
    *(i == REQUESTS ? &key->requests_per_minute : &key->steps_per_minute) = number;
    return NULL;
}

/* `line` is cut up. NULL, or what was expected. A blank line gives a key without a name. */
static const char *parse_line(char *line, struct key *key)
{
    static const char blanks[] = " \t\r";
    char *rest, *word = strtok_r(line, blanks, &rest);
    unsigned seen = 0;
    *key = (struct key){.scopes = SCOPES_INFER, .weight = 1};
    if (!word || *word == '#') return NULL;
    if (!key_name_is_valid(word)) return "a name of letters, digits, '.', '_' and '-', 64 at most";
    char *hash = strtok_r(NULL, blanks, &rest);
    if (!hash || !parse_hash(hash, key->hash))
        return "NAME sha256:HASH, of 64 digits of 0-9 and a-f, as carousel keys add writes it";
    snprintf(key->name, sizeof key->name, "%s", word);
    while ((word = strtok_r(NULL, blanks, &rest))) {
        const char *expected = take_word(key, word, &seen);
        if (expected) return expected;
    }
    return NULL;
}

const char *key_in_header(const char *authorization, size_t *n)
{
    static const char scheme[] = "Bearer ";
    if (!authorization || strncasecmp(authorization, scheme, sizeof scheme - 1)) return NULL;
    authorization += sizeof scheme - 1;
    authorization += strspn(authorization, " ");
    *n = strcspn(authorization, " \t");
    bool alone = authorization[*n + strspn(authorization + *n, " \t")] == '\0';
    return *n && *n <= KEY_MAX_BYTES && alone ? authorization : NULL;
}

/* ---- the file ------------------------------------------------------------------------------- */

/* Where keys[n] stands twice. */
static const char *repeats(const struct key *keys, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!strcmp(keys[i].name, keys[n].name)) return "a name that no other line has";
        if (hash_equal(keys[i].hash, keys[n].hash)) return "a key that no other line has";
    }
    return n == KEYS_MAX ? "1024 keys at most" : NULL;
}

static enum status parse_lines(char *text, size_t bytes, const char *name, struct key *keys, size_t *n,
                               struct error *err)
{
    size_t at = 0;
    *n = 0;
    for (size_t number = 1; at < bytes; number++) {
        char *end = memchr(text + at, '\n', bytes - at);
        size_t length = end ? (size_t)(end - text) - at : bytes - at;
        text[at + length] = '\0';
        const char *expected = strlen(text + at) != length ? "text, without zero bytes"
                                                           : parse_line(text + at, &keys[*n]);
        bool blank = !expected && !keys[*n].name[0];
        if (!expected && !blank) expected = repeats(keys, *n);
        if (expected) return error_set(err, STATUS_BAD_FORMAT, "%s:%zu: expected %s", name, number, expected);
        *n += !blank;
        at += length + 1;
    }
    return STATUS_OK;
}

enum status keys_parse(const char *text, size_t bytes, const char *name, struct key **out, size_t *n,
                       struct error *err)
{
    if (bytes > KEYS_FILE_BYTES)
        return error_set(err, STATUS_TOO_LONG, "%s: longer than %d bytes", name, KEYS_FILE_BYTES);
    struct key *keys = memory_new(KEYS_MAX + 1, sizeof *keys);
    char *copy = memory_new(bytes + 1, 1);
    enum status status = STATUS_NO_MEMORY;
    if (keys && copy) {
        memcpy(copy, text, bytes);
        status = parse_lines(copy, bytes, name, keys, n, err);
    } else error_set(err, status, "%s: no memory", name);
    memory_free(copy);
    if (status == STATUS_OK) *out = keys;
    else memory_free(keys);
    return status;
}

enum status keys_load(const char *path, struct key **out, size_t *n, struct error *err)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        return error_set_param(err, STATUS_IO, "auth.keys_file", "cannot open keys %s: %s", path,
                               strerror(errno));
    enum status status = STATUS_NO_MEMORY;
    char *text = memory_new(KEYS_FILE_BYTES + 2, 1);
    if (text) {
        size_t bytes = fread(text, 1, KEYS_FILE_BYTES + 1, file);
        if (ferror(file))
            status = error_set(err, STATUS_IO, "cannot read keys %s: %s", path, strerror(errno));
        else status = keys_parse(text, bytes, path, out, n, err);
    } else error_set(err, status, "no memory for keys %s", path);
    memory_free(text);
    fclose(file);
    return status;
}

int key_print(const struct key *key, char *out, size_t room)
{
    char hex[HASH_HEX_BYTES], scopes[SCOPES_TEXT_BYTES], quotas[96] = "", weight[16] = "", priority[24] = "";
    size_t n = 0;
    hash_print(key->hash, hex);
    if (key->requests_per_minute)
        n = (size_t)snprintf(quotas, sizeof quotas, " requests_per_minute=%llu",
                             (unsigned long long)key->requests_per_minute);
    if (key->steps_per_minute)
        snprintf(quotas + n, sizeof quotas - n, " steps_per_minute=%llu",
                 (unsigned long long)key->steps_per_minute);
    if (key->weight != 1) snprintf(weight, sizeof weight, " weight=%u", key->weight);
    if (key->has_max_priority) snprintf(priority, sizeof priority, " max_priority=%d", key->max_priority);
    return snprintf(out, room, "%s sha256:%s scopes=%s%s%s%s", key->name, hex,
                    scopes_print(key->scopes, scopes), quotas, weight, priority);
}

/* ---- the keys in force ---------------------------------------------------------------------- */

/* mu held. The smallest number that none of clients[0..n) has. */
static uint32_t free_share(struct client *const *clients, size_t n)
{
    uint32_t share = 1;
    for (size_t i = 0; i < n; i++)
        if (clients[i]->share == share) share++, i = (size_t)-1;
    return share;
}

static struct client *find_name(struct client *const *clients, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(clients[i]->name, name)) return clients[i];
    return NULL;
}

/* mu held. `spare` has room for all: those of the file, new or known, and those that requests still hold. */
static void take_over(struct keys *keys, const struct key *list, size_t n, struct client **spare,
                      struct client **fresh)
{
    int64_t now_us = clock_us();
    size_t kept = 0;
    keys->has_admin = false;
    for (size_t i = 0; i < keys->n; i++) keys->clients[i]->listed = false;
    for (size_t i = 0; i < n; i++) {
        struct client *client = find_name(keys->clients, keys->n, list[i].name);
        keys->has_admin |= (list[i].scopes & SCOPES_ADMIN) != 0;
        if (!client) continue;
        client->listed = true;
        client->key = list[i];
        quota_change(&client->requests, list[i].requests_per_minute, now_us);
        quota_change(&client->steps, list[i].steps_per_minute, now_us);
    }
    for (size_t i = 0; i < keys->n; i++) {
        struct client *client = keys->clients[i];
        if (client->listed || client->n_held) spare[kept++] = client;
        else memory_free(client);
    }
    for (size_t i = 0; i < n; i++) {
        if (find_name(spare, kept, list[i].name)) continue;
        struct client *client = fresh[i];
        fresh[i] = NULL;
        *client = (struct client){
            .keys = keys, .key = list[i], .share = free_share(spare, kept), .listed = true};
        memcpy(client->name, list[i].name, sizeof client->name);
        quota_init(&client->requests, list[i].requests_per_minute, now_us);
        quota_init(&client->steps, list[i].steps_per_minute, now_us);
        spare[kept++] = client;
    }
    memory_free(keys->clients);
    keys->clients = spare;
    keys->n = kept;
}

enum status keys_reread(struct keys *keys, size_t *n, struct error *err)
{
    struct key *list = NULL;
    *n = 0;
    if (!*keys->path) return STATUS_OK;
    enum status status = keys_load(keys->path, &list, n, err);
    if (status != STATUS_OK) return status;
    struct client **spare = memory_new(*n + keys->n + 1, sizeof *spare);
    struct client **fresh = memory_new(*n + 1, sizeof *fresh);
    bool good = spare && fresh;
    for (size_t i = 0; good && i < *n; i++) good = (fresh[i] = memory_new(1, sizeof **fresh)) != NULL;
    if (good) {
        pthread_mutex_lock(&keys->mu);
        take_over(keys, list, *n, spare, fresh);
        pthread_mutex_unlock(&keys->mu);
    } else {
        status = error_set(err, STATUS_NO_MEMORY, "no memory for keys %s", keys->path);
        memory_free(spare);
    }
    for (size_t i = 0; fresh && i < *n; i++) memory_free(fresh[i]);
    memory_free(fresh);
    memory_free(list);
    return status;
}

enum status keys_open(const char *path, struct keys **out, size_t *n, struct error *err)
{
    struct keys *keys = memory_new(1, sizeof *keys);
    if (!keys) return error_set(err, STATUS_NO_MEMORY, "no memory for the keys");
    keys->path = path;
    pthread_mutex_init(&keys->mu, NULL);
    enum status status = keys_reread(keys, n, err);
    if (status == STATUS_OK) *out = keys;
    else keys_close(keys);
    return status;
}

void keys_close(struct keys *keys)
{
    if (!keys) return;
    for (size_t i = 0; i < keys->n; i++) memory_free(keys->clients[i]);
    memory_free(keys->clients);
    pthread_mutex_destroy(&keys->mu);
    memory_free(keys);
}

bool keys_are_needed(const struct keys *keys)
{
    return *keys->path != '\0';
}

/* ---- requests ------------------------------------------------------------------------------- */

/* mu held. */
static struct client *match(const struct keys *keys, const uint8_t hash[HASH_BYTES])
{
    struct client *found = NULL;
    for (size_t i = 0; i < keys->n; i++) {
        struct client *client = keys->clients[i];
        bool equal = hash_equal(client->key.hash, hash) & client->listed;
        found = equal ? client : found;
    }
    return found;
}

/* mu held. */
static bool admit(struct client *client, enum scopes scopes, struct problem *problem)
{
    char wanted[SCOPES_TEXT_BYTES], has[SCOPES_TEXT_BYTES];
    unsigned wait_s;
    if (!client) return problem_set(problem, FAULT_INVALID_API_KEY, NULL, "this API key is not known");
    if (!(client->key.scopes & scopes))
        return problem_set(problem, FAULT_PERMISSION_DENIED, NULL,
                           "the API key '%s' has the scopes %s; this needs %s", client->name,
                           scopes_print(client->key.scopes, has), scopes_print(scopes, wanted));
    if (quota_take(&client->requests, 1, clock_us(), &wait_s)) return true;
    problem_set(problem, FAULT_RATE_LIMITED, NULL,
                "the API key '%s' may send %llu requests a minute; try again in %u s", client->name,
                (unsigned long long)client->key.requests_per_minute, wait_s);
    problem->retry_after_s = wait_s;
    return false;
}

bool keys_admit(struct keys *keys, enum scopes scopes, const char *authorization, struct client **client,
                struct problem *problem)
{
    uint8_t hash[HASH_BYTES];
    size_t n = 0;
    *client = NULL;
    if (scopes == SCOPES_OPEN) return true;
    pthread_mutex_lock(&keys->mu);
    bool has_admin = keys->has_admin;
    pthread_mutex_unlock(&keys->mu);
    if (scopes == SCOPES_ADMIN && !has_admin)
        return problem_set(problem, FAULT_PERMISSION_DENIED, NULL,
                           "administration is off: it needs an API key with the scope admin in "
                           "auth.keys_file (carousel keys add NAME --scopes admin)");
    if (!keys_are_needed(keys)) return true;
    const char *key = key_in_header(authorization, &n);
    if (!key) return problem_set(problem, FAULT_INVALID_API_KEY, NULL, NULL);
    hash_bytes(key, n, hash);
    pthread_mutex_lock(&keys->mu);
    struct client *found = match(keys, hash);
    bool good = admit(found, scopes, problem);
    if (found) found->n_held++;
    pthread_mutex_unlock(&keys->mu);
    *client = found; /* refused ones as well: the log names them */
    return good;
}

const char *client_name(const struct client *client)
{
    return client ? client->name : "";
}

struct caller client_caller(const struct client *client)
{
    struct caller caller = {.weight = 1};
    if (!client) return caller;
    pthread_mutex_lock(&client->keys->mu);
    caller = (struct caller){.share = client->share,
                             .weight = client->key.weight,
                             .has_max_priority = client->key.has_max_priority,
                             .max_priority = client->key.max_priority};
    pthread_mutex_unlock(&client->keys->mu);
    return caller;
}

bool client_charge(struct client *client, uint64_t steps, struct problem *problem)
{
    unsigned wait_s;
    if (!client) return true;
    pthread_mutex_lock(&client->keys->mu);
    bool good = quota_take(&client->steps, steps, clock_us(), &wait_s);
    uint64_t limit = client->key.steps_per_minute;
    pthread_mutex_unlock(&client->keys->mu);
    if (good) return true;
    problem_set(problem, FAULT_RATE_LIMITED, NULL,
                "this may take %llu steps, and the API key '%s' may take %llu a minute; try again in %u s",
                (unsigned long long)steps, client->name, (unsigned long long)limit, wait_s);
    problem->retry_after_s = wait_s;
    return false;
}

void client_give_back(struct client *client, uint64_t steps)
{
    if (!client || !steps) return;
    pthread_mutex_lock(&client->keys->mu);
    quota_give_back(&client->steps, steps, clock_us());
    pthread_mutex_unlock(&client->keys->mu);
}

void client_drop(struct client *client)
{
    if (!client) return;
    pthread_mutex_lock(&client->keys->mu);
    client->n_held--;
    pthread_mutex_unlock(&client->keys->mu);
}
