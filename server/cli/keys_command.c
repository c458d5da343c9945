#define _GNU_SOURCE /* getrandom */
#include "server/cli/keys_command.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "core/base/memory.h"
#include "core/scheduler/sequence.h"
#include "server/request/keys.h"

enum { EXIT_USAGE = 2, RANDOM_BYTES = 32, LINE_BYTES = 512 };
#define PREFIX "ck_" /* so that tools which look for lost secrets can know one */

/* What stands in the file; nothing if there is none. */
static enum status load(const char *path, struct key **keys, size_t *n, struct error *err)
{
    *keys = NULL;
    *n = 0;
    return access(path, F_OK) != 0 && errno == ENOENT ? STATUS_OK : keys_load(path, keys, n, err);
}

/* PREFIX and 64 hexadecimal digits. */
static bool make_key(char out[KEY_MAX_BYTES])
{
    uint8_t random[RANDOM_BYTES];
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) return false;
    size_t n = (size_t)snprintf(out, KEY_MAX_BYTES, PREFIX);
    for (size_t i = 0; i < sizeof random; i++)
        n += (size_t)snprintf(out + n, KEY_MAX_BYTES - n, "%02x", random[i]);
    return true;
}

/* The terms that the options name. */
static enum status take_terms(const struct arguments *a, struct key *key, struct error *err)
{
    *key = (struct key){.scopes = SCOPES_INFER, .weight = 1};
    if (!key_name_is_valid(a->values[1]))
        return error_set(err, STATUS_BAD_VALUE,
                         "name '%.80s': expected letters, digits, '.', '_' and '-', at most %d", a->values[1],
                         KEY_NAME_BYTES - 1);
    snprintf(key->name, sizeof key->name, "%s", a->values[1]);
    if (a->scopes && !scopes_parse(a->scopes, &key->scopes))
        return error_set(err, STATUS_BAD_VALUE,
                         "--scopes %.80s: expected a list of infer, metrics and admin with commas between",
                         a->scopes);
    if (a->requests_per_minute > 0) key->requests_per_minute = (uint64_t)a->requests_per_minute;
    if (a->steps_per_minute > 0) key->steps_per_minute = (uint64_t)a->steps_per_minute;
    if (a->weight == 0 || a->weight > KEY_MAX_WEIGHT)
        return error_set(err, STATUS_BAD_VALUE, "--weight %lld: expected 1 to %d", (long long)a->weight,
                         KEY_MAX_WEIGHT);
    if (a->weight > 0) key->weight = (uint32_t)a->weight;
    if (a->max_priority && !key_priority_parse(a->max_priority, key))
        return error_set(err, STATUS_BAD_VALUE, "--max-priority %.80s: expected %d to %d", a->max_priority,
                         SEQUENCE_PRIORITY_MIN, SEQUENCE_PRIORITY_MAX);
    return STATUS_OK;
}

/* One write, so that a server that reads meanwhile sees the line or does not. */
static enum status append(const char *path, const struct key *key, struct error *err)
{
    char line[LINE_BYTES], last = '\n';
    int file = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0) return error_set(err, STATUS_IO, "cannot write keys %s: %s", path, strerror(errno));
    off_t end = lseek(file, 0, SEEK_END);
    if (end > 0 && pread(file, &last, 1, end - 1) != 1) last = '\n';
    size_t n = 0;
    if (last != '\n') line[n++] = '\n';
    n += (size_t)key_print(key, line + n, sizeof line - n - 1);
    line[n++] = '\n';
    ssize_t written = write(file, line, n);
    int failure = written == (ssize_t)n && fsync(file) == 0 ? 0 : errno ? errno : EIO;
    close(file);
    return failure ? error_set(err, STATUS_IO, "cannot write keys %s: %s", path, strerror(failure))
                   : STATUS_OK;
}

static enum status add(const struct arguments *arguments, const char *path, struct error *err)
{
    char text[KEY_MAX_BYTES];
    struct key key, *keys;
    size_t n;
    enum status status = take_terms(arguments, &key, err);
    if (status == STATUS_OK) status = load(path, &keys, &n, err);
    if (status != STATUS_OK) return status;
    if (n >= KEYS_MAX)
        status = error_set(err, STATUS_TOO_LONG, "%s holds %zu keys; %d at most", path, n, KEYS_MAX);
    for (size_t i = 0; i < n; i++)
        if (!strcmp(keys[i].name, key.name))
            status = error_set(err, STATUS_BAD_VALUE,
                               "%s has a key '%s' already; remove its line or take another name", path,
                               key.name);
    memory_free(keys);
    if (status != STATUS_OK) return status;
    if (!make_key(text)) return error_set(err, STATUS_INTERNAL, "no random bytes: %s", strerror(errno));
    hash_bytes(text, strlen(text), key.hash);
    status = append(path, &key, err);
    if (status != STATUS_OK) return status;
    printf("%s\n", text);
    fprintf(stderr,
            "carousel: this is the only time that the key of '%s' is shown; a server that runs rereads %s at "
            "SIGHUP\n",
            key.name, path);
    return STATUS_OK;
}

static enum status list(const char *path, struct error *err)
{
    char scopes[SCOPES_TEXT_BYTES];
    struct key *keys;
    size_t n;
    enum status status = load(path, &keys, &n, err);
    if (status != STATUS_OK) return status;
    for (size_t i = 0; i < n; i++) {
        char priority[16] = "default"; /* limits.max_priority of the server */
        if (keys[i].has_max_priority) snprintf(priority, sizeof priority, "%d", keys[i].max_priority);
        printf("%s\tscopes=%s\trequests_per_minute=%llu\tsteps_per_minute=%llu\tweight=%u\tmax_priority=%s\n",
               keys[i].name, scopes_print(keys[i].scopes, scopes),
               (unsigned long long)keys[i].requests_per_minute, (unsigned long long)keys[i].steps_per_minute,
               keys[i].weight, priority);
    }
    memory_free(keys);
    return STATUS_OK;
}

int keys_command(const struct arguments *arguments, const struct config *config)
{
    const char *path = config->auth_keys_file, *verb = arguments->n_values ? arguments->values[0] : "";
    bool adds = !strcmp(verb, "add") && arguments->n_values == 2;
    struct error err;
    if (!adds && (strcmp(verb, "list") || arguments->n_values != 1)) {
        fprintf(stderr, "carousel: keys takes 'add NAME' or 'list'\n");
        return EXIT_USAGE;
    }
    if (!*path) {
        fprintf(stderr,
                "carousel: which file? Name it by --keys FILE, or by auth.keys_file in the configuration\n");
        return EXIT_USAGE;
    }
    enum status status = adds ? add(arguments, path, &err) : list(path, &err);
    if (status == STATUS_OK) return 0;
    fprintf(stderr, "carousel: %s\n", err.message);
    return status == STATUS_BAD_VALUE ? EXIT_USAGE : 1;
}
