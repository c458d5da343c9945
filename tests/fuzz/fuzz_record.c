/* Any bytes as a record of a vault: as they are, and behind a head with the right checksum, under the name of
 * a session and of a stored answer; as the file of a folder; and as what a Redis says. What is found must be
 * whole; to go on from its state must be refused or possible. */
#define _GNU_SOURCE
#include <assert.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>

#include "server/sessions/entry.h"
#include "models/generation/generation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct registry *registry;
static struct model *model;

static int64_t now_s(void)
{
    return (int64_t)time(NULL);
}

static void prepare(void)
{
    if (registry) return;
    if (registry_new(&registry) != STATUS_OK) abort();
    struct error err;
    if (model_load("tests/http/bundles/tiny-characters", "tiny-characters", "1", PRECISION_FLOAT32, &model,
                   &err) != STATUS_OK)
        abort();
    if (registry_put(registry, model_acquire(model)) != STATUS_OK) abort();
}

/* ---- a vault that holds one record -------------------------------------------------------------- */

struct held {
    struct vault vault;
    const unsigned char *bytes;
    size_t n;
};

static enum vault_answer held_write(struct vault *vault, const char *name, const void *bytes, size_t n,
                                    int64_t ttl_s, const uint64_t *expected)
{
    (void)vault, (void)name, (void)bytes, (void)n, (void)ttl_s, (void)expected;
    return VAULT_OK;
}

static enum vault_answer held_read(struct vault *vault, const char *name, void **bytes, size_t *n)
{
    const struct held *held = (struct held *)vault;
    (void)name;
    *n = held->n;
    *bytes = malloc(held->n + !held->n);
    if (*bytes && held->n) memcpy(*bytes, held->bytes, held->n);
    return *bytes ? VAULT_OK : VAULT_AWAY;
}

static enum vault_answer held_head(struct vault *vault, const char *name, unsigned char head[RECORD_HEAD])
{
    const struct held *held = (struct held *)vault;
    (void)name;
    if (held->n < RECORD_HEAD) return VAULT_NOT;
    memcpy(head, held->bytes, RECORD_HEAD);
    return VAULT_OK;
}

static void held_touch(struct vault *vault, const char *name, int64_t ttl_s)
{
    (void)vault, (void)name, (void)ttl_s;
}

static void held_remove(struct vault *vault, const char *name)
{
    (void)vault, (void)name;
}

static void held_close(struct vault *vault)
{
    (void)vault;
}

/* ---- the store above it -------------------------------------------------------------------------- */

/* A text that goes on from the state: refused, or a job that could run. */
static void go_on_from(const struct state *state)
{
    static const struct token_span prompts[] = {{.n = 0}};
    const struct generation_request request = {.prompts = prompts, .n_prompts = 1, .n = 1, .best_of = 1,
                                               .max_tokens = 4, .temperature = 1, .top_p = 1,
                                               .repetition_penalty = 1};
    const struct job_options options = {.from = state, .keeps = true};
    struct generation *generation;
    struct error err = {0};
    enum status status = generation_new(model, &request, &options, &generation, &err);
    assert(status == STATUS_OK || *err.message);
    if (status != STATUS_OK) return;
    assert(state->n_floats == network_state_floats(model->network));
    job_free(generation_job(generation));
}

/* `id`: as the record has it. */
static void look_up(struct vault *vault, const char *id)
{
    struct store *store;
    const struct store_options options = {.entries = 8, .bytes = 1 << 20, .owner_percent = 50, .waiting = 1,
                                          .reply_bytes = 64, .readers = 1, .drain_s = 9, .now_s = now_s,
                                          .vault = vault, .registry = registry};
    if (store_new(&options, &store) != STATUS_OK) return;
    for (int kind = STORE_ANSWER; kind <= STORE_SESSION; kind++) {
        const struct store_key key = {(enum store_kind)kind, "", id};
        struct store_view view;
        struct session_reply reply = {0};
        struct session_step step = {.has_step = true, .step = 1};
        enum store_found found = store_get(store, &key, &view);
        assert((found == STORE_FOUND) == (view.model != NULL));
        if (view.state) go_on_from(view.state);
        store_view_release(&view);
        if (kind != STORE_SESSION) continue;
        enum session_answer answer = session_begin(store, &key, &step, &found, &view, &reply);
        assert(answer != SESSION_GONE || found != STORE_FOUND);
        free(reply.text);
        store_view_release(&view);
        session_leave(&step);
    }
    store_free(store);
}

/* The id that stands in a record, or "s" if there is none. */
static void id_of(const unsigned char *bytes, size_t n, char id[STORE_ID_BYTES])
{
    const size_t at = RECORD_HEAD + sizeof(uint32_t);
    strcpy(id, "s");
    bool has_id = n >= at + STORE_ID_BYTES && memchr(bytes + at, 0, STORE_ID_BYTES);
    if (has_id) strcpy(id, (const char *)bytes + at);
}

static void check_record(const unsigned char *bytes, size_t n, bool is_shared)
{
    char id[STORE_ID_BYTES];
    id_of(bytes, n, id);
    struct held held = {.vault = {.is_shared = is_shared, .write = held_write, .read = held_read,
                                  .read_head = held_head, .touch = held_touch, .remove = held_remove,
                                  .close = held_close},
                        .bytes = bytes, .n = n};
    look_up(&held.vault, id);
}

/* ---- a folder ------------------------------------------------------------------------------------ */

static void check_folder(const unsigned char *bytes, size_t n)
{
    char folder[] = "/tmp/carousel-record-XXXXXX", path[160], name[VAULT_NAME_BYTES], id[STORE_ID_BYTES];
    id_of(bytes, n, id);
    const struct store_key key = {STORE_SESSION, "", id};
    struct vault *vault;
    struct error err = {0};
    if (!mkdtemp(folder)) return;
    record_name(&key, name);
    snprintf(path, sizeof path, "%s/%s.state", folder, name);
    FILE *file = fopen(path, "wb");
    if (file) {
        if (n) (void)!fwrite(bytes, 1, n, file);
        fclose(file);
        const struct timespec times[2] = {{.tv_sec = time(NULL) + 60}, {.tv_sec = time(NULL) + 60}};
        (void)utimensat(AT_FDCWD, path, times, 0);
        if (vault_open_folder(folder, 8, &vault, &err) == STATUS_OK) look_up(vault, id);
    }
    unlink(path);
    rmdir(folder);
}

/* ---- a Redis ------------------------------------------------------------------------------------- */

struct redis {
    int listener;
    const unsigned char *bytes;
    size_t n;
};

/* Accept the SELECT, then say the bytes to whatever is asked, and close. */
static void *serve(void *context)
{
    struct redis *redis = context;
    char asked[4096];
    int fd = accept(redis->listener, NULL, NULL);
    if (fd < 0) return NULL;
    if (read(fd, asked, sizeof asked) > 0) (void)!write(fd, "+OK\r\n", 5);
    if (read(fd, asked, sizeof asked) > 0 && redis->n)
        (void)!send(fd, redis->bytes, redis->n, MSG_NOSIGNAL);
    close(fd);
    return NULL;
}

static void check_redis(const unsigned char *bytes, size_t n)
{
    static unsigned number;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct redis redis = {.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), .bytes = bytes, .n = n};
    struct vault *vault;
    struct error err = {0};
    char target[160];
    pthread_t thread;
    snprintf(address.sun_path, sizeof address.sun_path, "/tmp/carousel-redis-%d-%u", (int)getpid(), number++);
    snprintf(target, sizeof target, "unix:%s", address.sun_path);
    unlink(address.sun_path);
    if (redis.listener < 0 || bind(redis.listener, (struct sockaddr *)&address, sizeof address) ||
        listen(redis.listener, 1) || pthread_create(&thread, NULL, serve, &redis))
        abort();
    bool is_open = vault_open_redis(target, "", &vault, &err) == STATUS_OK;
    unlink(address.sun_path); /* none connects again */
    if (is_open) look_up(vault, "s");
    shutdown(redis.listener, SHUT_RDWR);
    pthread_join(thread, NULL);
    close(redis.listener);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    prepare();
    if (size > 1 << 20) return 0;
    check_record(data, size, false);
    unsigned char *record = calloc(1, RECORD_HEAD + size);
    if (!record) return 0;
    if (size) memcpy(record + RECORD_HEAD, data, size);
    record_seal(record, RECORD_HEAD + size, 1);
    check_record(record, RECORD_HEAD + size, false);
    check_record(record, RECORD_HEAD + size, true);
    check_folder(record, RECORD_HEAD + size);
    free(record);
    check_redis(data, size);
    return 0;
}
