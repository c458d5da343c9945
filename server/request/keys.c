/* The file of keys, and the clients behind them.
 *
 * A request is matched by the hash of what it sent, against every key there is and without stopping at a
 * match: neither how far a comparison went nor which line matched shows in the time. */
#include "server/request/keys.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "core/base/clock.h"
#include "core/base/memory.h"
#include "core/scheduler/sequence.h"
#include "server/request/quota.h"

struct client {
    struct keys *keys;
    char name[KEY_NAME_BYTES];
    struct key key; /* the line in force */
    uint32_t number;
    size_t n_held;  /* requests */
    bool listed;    /* its line is in the file */
    struct quota requests, steps;
};

/* What changes if a file is written or replaced; all zero for a file that is not there. */
struct stamp {
    dev_t device;
    ino_t inode;
    off_t bytes;
    struct timespec written, changed;
};

struct keys {
    const char *path;
    struct stamp read;        /* of the file that was last read; the rereading thread's */
    pthread_mutex_t mu;       /* guards the rest, and clients except for their names */
    struct client **clients;  /* [n] by name, owned */
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

/* If keys[n] stands twice. */
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

/* What a change of keys needs, so that nothing is allocated or compared pair by pair while requests wait. */
struct change {
    struct key *list;        /* [n], the file's, by name */
    size_t n;
    struct client **clients; /* those to come, with room for n more than there are */
    struct client **fresh;   /* [n], for names that are new */
    bool *taken;             /* by number: a client that stays has it */
    size_t numbers;
};

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct key *)a)->name, ((const struct key *)b)->name);
}

static void change_release(struct change *change)
{
    for (size_t i = 0; change->fresh && i < change->n; i++) memory_free(change->fresh[i]);
    memory_free(change->fresh);
    memory_free(change->clients);
    memory_free(change->taken);
    memory_free(change->list);
}

/* For at most so many clients that there are. Takes change->list; false without memory. */
static bool change_prepare(struct change *change, size_t n_before)
{
    size_t n = change->n;
    qsort(change->list, n, sizeof *change->list, by_name);
    change->numbers = n + n_before + 1;
    change->clients = memory_new(n + n_before + 1, sizeof *change->clients);
    change->fresh = memory_new(n + 1, sizeof *change->fresh);
    change->taken = memory_new(change->numbers, sizeof *change->taken);
    bool good = change->clients && change->fresh && change->taken;
    for (size_t i = 0; good && i < n; i++) good = (change->fresh[i] = memory_new(1, sizeof **change->fresh));
    return good;
}

/* mu held. A client that is listed has a new line. */
static void client_change(struct client *client, const struct key *key, int64_t now_us)
{
    client->listed = true;
    client->key = *key;
    quota_change(&client->requests, key->requests_per_minute, now_us);
    quota_change(&client->steps, key->steps_per_minute, now_us);
}

/* mu held. Merge the clients that there are, by name, with the list: those that the file names, new or known,
 * and those that requests still hold. */
static size_t merge(struct keys *keys, struct change *change, int64_t now_us)
{
    size_t kept = 0, i = 0, k = 0;
    while (i < keys->n || k < change->n) {
        struct client *client = i < keys->n ? keys->clients[i] : NULL;
        int order = !client ? 1 : k == change->n ? -1 : strcmp(client->name, change->list[k].name);
        if (order > 0) {
            client = change->fresh[k];
            change->fresh[k] = NULL;
            *client = (struct client){.keys = keys, .key = change->list[k], .listed = true};
            memcpy(client->name, change->list[k].name, sizeof client->name);
            quota_init(&client->requests, client->key.requests_per_minute, now_us);
            quota_init(&client->steps, client->key.steps_per_minute, now_us);
        } else {
            client->listed = false;
            if (order == 0) client_change(client, &change->list[k], now_us);
            i++;
        }
        k += order >= 0;
        if (client->listed || client->n_held) change->clients[kept++] = client;
        else memory_free(client);
    }
    return kept;
}

/* mu held. Numbers begin with 1; a new client gets the smallest that is free. */
static void number(struct change *change, size_t kept)
{
    size_t next = 1;
    for (size_t i = 0; i < kept; i++)
        if (change->clients[i]->number < change->numbers) change->taken[change->clients[i]->number] = true;
    for (size_t i = 0; i < kept; i++) {
        if (change->clients[i]->number) continue;
        while (change->taken[next]) next++;
        change->clients[i]->number = (uint32_t)next++;
    }
}

/* mu held. The clients that were go to `change`. */
static void take_over(struct keys *keys, struct change *change)
{
    size_t kept = merge(keys, change, clock_us());
    number(change, kept);
    struct client **before = keys->clients;
    keys->clients = change->clients;
    keys->n = kept;
    change->clients = before;
    keys->has_admin = false;
    for (size_t i = 0; i < change->n; i++)
        keys->has_admin |= (change->list[i].scopes & SCOPES_ADMIN) != 0;
}

static struct stamp stamp_of(const char *path)
{
    struct stat found;
    if (stat(path, &found)) return (struct stamp){0};
    return (struct stamp){found.st_dev, found.st_ino, found.st_size, found.st_mtim, found.st_ctim};
}

static bool is_same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool keys_have_changed(const struct keys *keys)
{
    struct stamp a = stamp_of(keys->path), b = keys->read;
    return a.device != b.device || a.inode != b.inode || a.bytes != b.bytes ||
           !is_same_time(a.written, b.written) || !is_same_time(a.changed, b.changed);
}

enum status keys_reread(struct keys *keys, size_t *n, struct error *err)
{
    struct change change = {0};
    *n = 0;
    if (!*keys->path) return STATUS_OK;
    keys->read = stamp_of(keys->path); /* before reading: what is written meanwhile is a change */
    enum status status = keys_load(keys->path, &change.list, n, err);
    /* What could not be read is tried again at the next look. */
    if (status == STATUS_IO || status == STATUS_NO_MEMORY) keys->read = (struct stamp){0};
    if (status != STATUS_OK) return status;
    change.n = *n;
    if (change_prepare(&change, keys->n)) {
        pthread_mutex_lock(&keys->mu);
        take_over(keys, &change);
        pthread_mutex_unlock(&keys->mu);
    } else {
        status = error_set(err, STATUS_NO_MEMORY, "no memory for keys %s", keys->path);
        keys->read = (struct stamp){0};
    }
    change_release(&change);
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
    if (quota_charge(&client->requests, 1, clock_us(), &wait_s)) return true;
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
    pthread_mutex_lock(&client->keys->mu);
    struct caller caller = {.client = client->number,
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
    bool good = quota_charge(&client->steps, steps, clock_us(), &wait_s);
    uint64_t limit = client->key.steps_per_minute;
    pthread_mutex_unlock(&client->keys->mu);
    if (good) return true;
    problem_set(problem, FAULT_RATE_LIMITED, NULL,
                "this may take %llu steps, and the API key '%s' may take %llu a minute; try again in %u s",
                (unsigned long long)steps, client->name, (unsigned long long)limit, wait_s);
    problem->retry_after_s = wait_s;
    return false;
}

void client_refund(struct client *client, uint64_t steps)
{
    if (!client || !steps) return;
    pthread_mutex_lock(&client->keys->mu);
    quota_refund(&client->steps, steps, clock_us());
    pthread_mutex_unlock(&client->keys->mu);
}

void client_drop(struct client *client)
{
    if (!client) return;
    pthread_mutex_lock(&client->keys->mu);
    client->n_held--;
    pthread_mutex_unlock(&client->keys->mu);
}
