/* See harness.h. The server is started by fork and exec with its settings in the environment, so that a
 * test's settings are one list of texts. */
#include "harness.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"

const char *scratch_path(const char *name)
{
    static char paths[8][512];
    static unsigned turn;
    char *path = paths[turn++ % 8];
    const char *folder = getenv("CAROUSEL_SCRATCH");
    snprintf(path, sizeof paths[0], "%s/%s", folder != NULL ? folder : "build/scratch", name);
    return path;
}

static void make_folders(const char *path)
{
    char part[512];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = strchr(part + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(part, 0777) != 0)
            ck_assert_msg(errno == EEXIST, "mkdir %s: %s", part, strerror(errno));
        *slash = '/';
    }
}

void file_write(const char *path, const void *text, size_t bytes)
{
    make_folders(path);
    FILE *file = fopen(path, "wb");
    ck_assert_msg(file != NULL, "%s: %s", path, strerror(errno));
    ck_assert_uint_eq(fwrite(text, 1, bytes, file), bytes);
    ck_assert_int_eq(fclose(file), 0);
}

char *file_read(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file != NULL, "%s: %s", path, strerror(errno));
    ck_assert_int_eq(fseek(file, 0, SEEK_END), 0);
    *bytes = (size_t)ftell(file);
    rewind(file);
    char *text = malloc(*bytes + 1);
    ck_assert_ptr_nonnull(text);
    ck_assert_uint_eq(fread(text, 1, *bytes, file), *bytes);
    text[*bytes] = '\0';
    fclose(file);
    return text;
}

/* "NAME=value" into the environment. */
static void set_variable(const char *setting)
{
    char name[128];
    size_t n = strcspn(setting, "=");
    snprintf(name, sizeof name, "%.*s", (int)n, setting);
    setenv(name, setting + n + 1, 1);
}

/* In the child: become the server. */
static void become_server(const struct server *server, int out, const char *const *settings,
                          pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(126);
    int log = open(server->log, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (log < 0 || dup2(log, STDERR_FILENO) < 0 || dup2(out, STDOUT_FILENO) < 0)
        _exit(126);
    static const char *const ours[] = {"CAROUSEL_MODELS_FOLDERS=" BUNDLES,
                                       "CAROUSEL_SCHEDULER_WORKERS=2",
                                       "CAROUSEL_SERVER_HOST=127.0.0.1"};
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        set_variable(ours[i]);
    for (; settings != NULL && *settings != NULL; settings++)
        set_variable(*settings);
    const char *program = getenv("CAROUSEL_PROGRAM");
    if (program == NULL)
        program = "build/carousel";
    execl(program, program, "serve", "--port", "0", (char *)NULL);
    fprintf(stderr, "%s: %s\n", program, strerror(errno));
    _exit(127);
}

/* Where it listens: up to the end of the word. */
static void take_address(struct server *server, const char *said)
{
    snprintf(server->url, sizeof server->url, "%.*s", (int)strcspn(said, " \n"), said);
    const char *port = strstr(server->url, "://") != NULL ? strrchr(server->url, ':') : NULL;
    server->port = port != NULL ? atoi(port + 1) : 0;
    ck_assert_msg(server->port > 0 || strncmp(server->url, "unix:", 5) == 0, "it said: %s", said);
}

/* The line that says where it listens, within the patience of a start. */
void server_await_ready(struct server *server)
{
    static const char prefix[] = "carousel: listening on ";
    char line[256];
    size_t n = 0;
    double end = now_ms() + patience_ms(40000);
    while (n == 0 || line[n - 1] != '\n') {
        struct pollfd wait = {.fd = server->out, .events = POLLIN};
        int left = (int)(end - now_ms());
        ssize_t got = left > 0 && poll(&wait, 1, left) == 1 && n < sizeof line - 1
                          ? read(server->out, line + n, 1)
                          : -1;
        if (got <= 0)
            ck_abort_msg("the server did not start; it said:\n%s", server_log(server));
        n += (size_t)got;
    }
    line[n] = '\0';
    ck_assert_msg(strncmp(line, prefix, sizeof prefix - 1) == 0, "it said: %s", line);
    take_address(server, line + sizeof prefix - 1);
}

void server_launch(struct server *server, const char *const *settings)
{
    static int started;
    int ends[2];
    server->may_fail = false;
    char name[64];
    pid_t parent = getpid();
    snprintf(name, sizeof name, "server-%d-%d.log", (int)parent, started++);
    snprintf(server->log, sizeof server->log, "%s", scratch_path(name));
    file_write(server->log, "", 0);
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(fcntl(ends[0], F_SETFD, FD_CLOEXEC), 0);
    server->pid = fork();
    ck_assert_int_ge(server->pid, 0);
    if (server->pid == 0)
        become_server(server, ends[1], settings, parent);
    close(ends[1]);
    server->out = ends[0];
}

void server_start(struct server *server, const char *const *settings)
{
    server_launch(server, settings);
    server_await_ready(server);
}

void server_start_loading(struct server *server, const char *const *settings)
{
    static const char mark[] = "loading the models; ";
    server_launch(server, settings);
    await_log(server, mark, 1);
    take_address(server, strstr(server_log(server), mark) + sizeof mark - 1);
}

void server_signal(const struct server *server, int signal)
{
    ck_assert_int_eq(kill(server->pid, signal), 0);
}

int server_wait(struct server *server)
{
    int status = 0;
    double end = now_ms() + patience_ms(40000);
    pid_t ended;
    while ((ended = waitpid(server->pid, &status, WNOHANG)) == 0 && now_ms() < end)
        sleep_ms(5);
    if (ended == 0) {
        kill(server->pid, SIGKILL);
        waitpid(server->pid, &status, 0);
        server->pid = 0;
        ck_abort_msg("the server did not end; it said:\n%s", server_log(server));
    }
    server->pid = 0;
    close(server->out);
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    if (code != 0 && !server->may_fail)
        fprintf(stderr, "the server ended with %d; it said:\n%s\n", code, server_log(server));
    else
        unlink(server->log);
    return code;
}

int server_stop(struct server *server)
{
    server_signal(server, SIGTERM);
    return server_wait(server);
}

const char *server_log(const struct server *server)
{
    static char *text;
    size_t bytes;
    free(text);
    text = file_read(server->log, &bytes);
    return text;
}

const char *keys_file(const char *name, const char *lines)
{
    static char setting[600];
    file_write(scratch_path(name), lines, strlen(lines));
    snprintf(setting, sizeof setting, "CAROUSEL_AUTH_KEYS_FILE=%s", scratch_path(name));
    return setting;
}

const char *keys_setting(void)
{
    char name[64];
    snprintf(name, sizeof name, "keys-%d", (int)getpid());
    return keys_file(name, KEY_LINES);
}

double metric(const struct server *server, const char *name)
{
    struct reply *reply = ask(server, "GET", "/metrics", NULL);
    ck_assert_int_eq(reply->status, 200);
    size_t n = strlen(name);
    for (const char *line = reply->body; line != NULL && *line != '\0';) {
        if (strncmp(line, name, n) == 0 && line[n] == ' ')
            return strtod(line + n, NULL);
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    return 0;
}

static int times_in(const char *log, const char *text)
{
    int n = 0;
    for (const char *at = strstr(log, text); at != NULL; at = strstr(at + 1, text))
        n++;
    return n;
}

void await_log(const struct server *server, const char *text, int n)
{
    double end = now_ms() + patience_ms(AWAIT_MS);
    while (times_in(server_log(server), text) < n) {
        ck_assert_msg(now_ms() < end, "'%s' is not %d times in its log:\n%s", text, n, server_log(server));
        sleep_ms(10);
    }
}

bool metric_becomes(const struct server *server, const char *name, double value)
{
    double end = now_ms() + patience_ms(AWAIT_MS), found = 0;
    while ((found = metric(server, name)) != value && now_ms() < end)
        sleep_ms(10);
    return found == value;
}

/* The slow bundle: one-hot of 32 characters, a large LSTM, a linear layer, all zero; so every output is zero
 * and every token is as likely as any other. */

enum { SLOW_HIDDEN = 1536, SLOW_VOCABULARY = 32 };

static const char slow_config[] =
    "{\"format_version\":1,\"task\":\"text-generation\",\"network\":["
    "{\"type\":\"one_hot\",\"num_classes\":32},"
    "{\"type\":\"lstm\",\"prefix\":\"lstm\",\"input_size\":32,\"hidden_size\":%d,\"bias\":false},"
    "{\"type\":\"linear\",\"prefix\":\"head\",\"in_features\":%d,\"out_features\":32,\"bias\":false}],"
    "\"tokenizer\":{\"type\":\"characters\",\"vocabulary\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\","
    "\"i\",\"j\",\"k\",\"l\",\"m\",\"n\",\"o\",\"p\",\"q\",\"r\",\"s\",\"t\",\"u\",\"v\",\"w\",\"x\",\"y\","
    "\"z\",\" \",\".\",\",\",\"!\",\"?\",\"-\"]}}";

static const char slow_header[] =
    "{\"lstm.weight_ih_l0\":{\"dtype\":\"F16\",\"shape\":[%d,%d],\"data_offsets\":[0,%d]},"
    "\"lstm.weight_hh_l0\":{\"dtype\":\"F16\",\"shape\":[%d,%d],\"data_offsets\":[%d,%d]},"
    "\"head.weight\":{\"dtype\":\"F16\",\"shape\":[%d,%d],\"data_offsets\":[%d,%d]}}";

/* n times the case, of as many steps. */
static char *slow_cases(int n, int steps)
{
    char *text = malloc((size_t)n * (size_t)(3 * steps + 256)), *at = text;
    ck_assert_ptr_nonnull(text);
    at += sprintf(at, "{\"cases\":[");
    for (int i = 0; i < n; i++) {
        at += sprintf(at, "%s{\"input\":\"", i > 0 ? "," : "");
        for (int t = 0; t < steps; t++)
            *at++ = 'a';
        at += sprintf(at, "\",\"tokens\":[");
        for (int t = 0; t < steps; t++)
            at += sprintf(at, "%s0", t > 0 ? "," : "");
        at += sprintf(at, "],\"output\":[");
        for (int v = 0; v < SLOW_VOCABULARY; v++)
            at += sprintf(at, "%s0", v > 0 ? "," : "");
        at += sprintf(at, "]}");
    }
    sprintf(at, "]}");
    return text;
}

/* Under scratch_path(name). Made aside and then given its name, since other processes of the tests may do the
 * same. */
static void slow_make(const char *name, int n_cases, int n_steps)
{
    char folder[64], path[512], config[1024], header[512];
    if (access(scratch_path(name), F_OK) == 0)
        return;
    snprintf(folder, sizeof folder, "%s-%d", name, (int)getpid());
    /* Sanitizers load slowly, and slow everything else down; but a step not by much. */
    const int H = patience_ms(1) > 1 ? SLOW_HIDDEN * 2 / 3 : SLOW_HIDDEN, V = SLOW_VOCABULARY;
    const int input = 4 * H * V * 2, state = input + 4 * H * H * 2, head = state + V * H * 2;
    snprintf(config, sizeof config, slow_config, H, H);
    int n = snprintf(header, sizeof header, slow_header, 4 * H, V, input, 4 * H, H, input, state, V, H,
                     state, head);
    while (n % 8 != 0)
        header[n++] = ' ';
    char start[8 + sizeof header] = {(char)(n & 255), (char)(n >> 8)};
    memcpy(start + 8, header, (size_t)n);
    snprintf(path, sizeof path, "%s/slow/config.json", scratch_path(folder));
    file_write(path, config, strlen(config));
    char *golden = slow_cases(n_cases, n_steps);
    snprintf(path, sizeof path, "%s/slow/golden.json", scratch_path(folder));
    file_write(path, golden, strlen(golden));
    free(golden);
    snprintf(path, sizeof path, "%s/slow/model.safetensors", scratch_path(folder));
    file_write(path, start, 8 + (size_t)n);
    /* The tensors are a hole in the file. */
    ck_assert_int_eq(truncate(path, 8 + n + (off_t)head), 0);
    if (rename(scratch_path(folder), scratch_path(name)) != 0)
        ck_assert_int_eq(access(scratch_path(name), F_OK), 0);
}

void bundle_copy(const char *bundle, const char *to)
{
    static const char *const files[] = {"model.safetensors", "golden.json", "config.json"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char from[512], path[1024];
        size_t bytes;
        snprintf(from, sizeof from, BUNDLES "/%s/%s", bundle, files[i]);
        snprintf(path, sizeof path, "%s/%s", scratch_path(to), files[i]);
        char *text = file_read(from, &bytes);
        file_write(path, text, bytes);
        free(text);
    }
}

const char *slow_folder(void)
{
    slow_make("slow", 1, 1);
    return scratch_path("slow");
}

const char *slow_setting(void)
{
    static char setting[600];
    snprintf(setting, sizeof setting, "CAROUSEL_MODELS_FOLDERS=%s:%s", BUNDLES, slow_folder());
    return setting;
}

const char *slow_start_setting(int n_cases, int n_steps)
{
    static char setting[600];
    char name[64];
    snprintf(name, sizeof name, "slow-%dx%d", n_cases, n_steps);
    slow_make(name, n_cases, n_steps);
    snprintf(setting, sizeof setting, "CAROUSEL_MODELS_BUNDLES=zz-slow=%s/slow", scratch_path(name));
    return setting;
}
