/* Records in Redis or Valkey: the keys carousel:NAME, with hiredis. */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/clock.h"
#include "server/sessions/vault.h"

enum { PATH_BYTES = 256, PASSWORD_BYTES = 513, PORT = 6379, WAIT_US = 500000, REST_US = 1000000 };

#define KEY "carousel:%s"

/* Replace a record if its step, 8 bytes at RECORD_STEP_AT, is the expected one or if it is not there. */
static const char replace[] =
    "local step = redis.call('GETRANGE', KEYS[1], 8, 15) "
    "if step ~= '' and step ~= ARGV[3] then return 0 end "
    "redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2]) return 1";

struct redis {
    struct vault vault;
    char host[PATH_BYTES]; /* or the path of a socket */
    int port, database;    /* port 0: host is a path */
    char password[PASSWORD_BYTES];
    redisContext *context; /* NULL: not connected */
    int64_t failed_us;     /* when the last call failed; 0: it did not */
};

static void disconnect(struct redis *redis)
{
    if (redis->context) redisFree(redis->context);
    redis->context = NULL;
}

/* Return whether Redis has accepted a command, and free its reply. */
static bool is_done(struct redis *redis, redisReply *reply, struct error *err)
{
    bool good = reply && reply->type != REDIS_REPLY_ERROR;
    if (!good)
        (void)error_set(err, STATUS_IO, "%s", reply ? reply->str : redis->context->errstr);
    if (reply) freeReplyObject(reply);
    return good;
}

static bool connect_to(struct redis *redis, struct error *err)
{
    const struct timeval wait = {.tv_usec = WAIT_US};
    redisContext *context = redis->port ? redisConnectWithTimeout(redis->host, redis->port, wait)
                                        : redisConnectUnixWithTimeout(redis->host, wait);
    redis->context = context;
    if (!context || context->err) {
        (void)error_set(err, STATUS_IO, "%s", context ? context->errstr : "no memory");
        return false;
    }
    return redisSetTimeout(context, wait) == REDIS_OK &&
           (!*redis->password || is_done(redis, redisCommand(context, "AUTH %s", redis->password), err)) &&
           is_done(redis, redisCommand(context, "SELECT %d", redis->database), err);
}

/* Return whether the connection has ended: nothing is due on it between two commands. */
static bool has_ended(const redisContext *context)
{
    struct pollfd connection = {.fd = context->fd, .events = POLLIN};
    return poll(&connection, 1, 0) != 0;
}

/* Connect if there is no connection, unless that failed a moment ago. */
static bool is_there(struct redis *redis)
{
    if (redis->context && has_ended(redis->context)) disconnect(redis);
    if (redis->context) return true;
    if (redis->failed_us && clock_us() < redis->failed_us + REST_US) return false;
    redis->failed_us = 0;
    if (connect_to(redis, NULL)) return true;
    disconnect(redis);
    redis->failed_us = clock_us();
    return false;
}

/* Return the reply if it is of the type; a vault that did not answer so is away. */
static redisReply *expect(struct redis *redis, redisReply *reply, int type)
{
    if (reply && reply->type == type) return reply;
    bool is_broken = !reply;
    if (reply) freeReplyObject(reply);
    if (is_broken) {
        disconnect(redis);
        redis->failed_us = clock_us();
    }
    return NULL;
}

/* Run a command. Return its reply if it is of the type, else NULL. */
#define ASK(redis, type, ...) \
    (is_there(redis) ? expect(redis, redisCommand((redis)->context, __VA_ARGS__), type) : NULL)

static enum vault_answer redis_write(struct vault *vault, const char *name, const void *bytes, size_t n,
                                     int64_t ttl_s, const uint64_t *expected)
{
    struct redis *redis = (struct redis *)vault;
    if (!expected) {
        redisReply *reply = ASK(redis, REDIS_REPLY_STATUS, "SET " KEY " %b EX %lld", name, bytes, n,
                                (long long)ttl_s);
        if (!reply) return VAULT_AWAY;
        freeReplyObject(reply);
        return VAULT_OK;
    }
    redisReply *reply = ASK(redis, REDIS_REPLY_INTEGER, "EVAL %s 1 " KEY " %b %lld %b", replace, name, bytes,
                            n, (long long)ttl_s, expected, sizeof *expected);
    if (!reply) return VAULT_AWAY;
    bool is_written = reply->integer == 1;
    freeReplyObject(reply);
    return is_written ? VAULT_OK : VAULT_NOT;
}

/* Return the reply that has the record's bytes, or NULL, and why. */
static redisReply *get(struct redis *redis, const char *format, const char *name, enum vault_answer *answer)
{
    *answer = VAULT_AWAY;
    redisReply *reply = is_there(redis) ? redisCommand(redis->context, format, name) : NULL;
    if (reply && reply->type == REDIS_REPLY_NIL) {
        freeReplyObject(reply);
        *answer = VAULT_NOT;
        return NULL;
    }
    if (!redis->context || !(reply = expect(redis, reply, REDIS_REPLY_STRING))) return NULL;
    *answer = VAULT_OK;
    return reply;
}

static enum vault_answer redis_read(struct vault *vault, const char *name, void **bytes, size_t *n)
{
    enum vault_answer answer;
    redisReply *reply = get((struct redis *)vault, "GET " KEY, name, &answer);
    if (!reply) return answer;
    *n = reply->len;
    *bytes = reply->len < RECORD_MOST_BYTES ? malloc(reply->len + 1) : NULL;
    if (*bytes) memcpy(*bytes, reply->str, reply->len);
    freeReplyObject(reply);
    return *bytes ? VAULT_OK : VAULT_AWAY;
}

static enum vault_answer redis_read_head(struct vault *vault, const char *name,
                                         unsigned char head[RECORD_HEAD])
{
    enum vault_answer answer;
    redisReply *reply = get((struct redis *)vault, "GETRANGE " KEY " 0 47", name, &answer);
    if (!reply) return answer;
    if (reply->len == RECORD_HEAD) memcpy(head, reply->str, RECORD_HEAD);
    else answer = VAULT_NOT;
    freeReplyObject(reply);
    return answer;
}

static void redis_touch(struct vault *vault, const char *name, int64_t ttl_s)
{
    struct redis *redis = (struct redis *)vault;
    redisReply *reply = ASK(redis, REDIS_REPLY_INTEGER, "EXPIRE " KEY " %lld", name, (long long)ttl_s);
    if (reply) freeReplyObject(reply);
}

static void redis_remove(struct vault *vault, const char *name)
{
    struct redis *redis = (struct redis *)vault;
    redisReply *reply = ASK(redis, REDIS_REPLY_INTEGER, "DEL " KEY, name);
    if (reply) freeReplyObject(reply);
}

static void redis_close(struct vault *vault)
{
    struct redis *redis = (struct redis *)vault;
    disconnect(redis);
    free(redis);
}

/* Read PORT and DATABASE, each optional, of what follows the host: [:PORT][/DATABASE]. */
static bool read_numbers(const char *text, struct redis *redis)
{
    char *end;
    if (*text == ':') {
        long port = strtol(text + 1, &end, 10);
        if (end == text + 1 || port < 1 || port > 65535) return false;
        redis->port = (int)port;
        text = end;
    }
    if (*text == '/' && text[1]) {
        long database = strtol(text + 1, &end, 10);
        if (end == text + 1 || database < 0 || database > 1000000) return false;
        redis->database = (int)database;
        text = end;
    }
    return !*text || !strcmp(text, "/");
}

static bool read_address(const char *address, struct redis *redis)
{
    static const char tcp[] = "redis://", local[] = "unix:";
    redis->port = PORT;
    if (!strncmp(address, local, sizeof local - 1)) {
        redis->port = 0;
        int n = snprintf(redis->host, sizeof redis->host, "%s", address + sizeof local - 1);
        return n > 0 && n < (int)sizeof redis->host;
    }
    if (strncmp(address, tcp, sizeof tcp - 1) || strchr(address, '@')) return false;
    const char *host = address + sizeof tcp - 1;
    bool is_bracketed = *host == '[';
    host += is_bracketed;
    size_t n = strcspn(host, is_bracketed ? "]" : ":/");
    if (n == 0 || n >= sizeof redis->host || (is_bracketed && host[n] != ']')) return false;
    memcpy(redis->host, host, n);
    return read_numbers(host + n + is_bracketed, redis);
}

static bool read_password(const char *path, struct redis *redis)
{
    if (!*path) return true;
    FILE *file = fopen(path, "re");
    if (!file) return false;
    errno = EINVAL; /* empty, or too long for its place */
    bool good = fgets(redis->password, sizeof redis->password, file) && strlen(redis->password) < 512;
    redis->password[strcspn(redis->password, "\r\n")] = '\0';
    fclose(file);
    return good && *redis->password;
}

enum status vault_open_redis(const char *address, const char *password_file, struct vault **out,
                             struct error *err)
{
    struct error reason = {0};
    struct redis *redis = calloc(1, sizeof *redis);
    if (!redis) return error_set(err, STATUS_NO_MEMORY, "no memory for the connection to Redis");
    redis->vault = (struct vault){.is_shared = true, .write = redis_write, .read = redis_read,
                                  .read_head = redis_read_head, .touch = redis_touch,
                                  .remove = redis_remove, .close = redis_close};
    enum status status = STATUS_OK;
    if (!read_address(address, redis))
        status = error_set_param(err, STATUS_BAD_VALUE, "sessions.redis",
                                 "'%s' is no address of Redis; expected redis://HOST[:PORT][/DATABASE] "
                                 "without a password (sessions.redis_password_file), or unix:PATH",
                                 address);
    else if (!read_password(password_file, redis))
        status = error_set_param(err, STATUS_IO, "sessions.redis_password_file",
                                 "cannot read a password of at most 511 bytes from %s: %s", password_file,
                                 strerror(errno));
    else if (!connect_to(redis, &reason))
        status = error_set_param(err, STATUS_IO, "sessions.redis", "cannot keep states in %s: %s", address,
                                 reason.message);
    if (status == STATUS_OK) *out = &redis->vault;
    else redis_close(&redis->vault);
    return status;
}
