/* Start and stop, in the order that server/serve.h gives. */
#include "server/serve.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/kernels/kernels.h"
#include "core/base/memory.h"
#include "core/base/throttle.h"
#include "models/repository/per_model.h"
#include "models/jobs/job.h"
#include "models/bundle/room.h"
#include "server/explain/explainer.h"
#include "server/base/errors.h"
#include "server/base/fit.h"
#include "server/http/http.h"
#include "server/request/exchange.h"
#include "server/request/keys.h"
#include "server/base/log.h"
#include "server/processors.h"
#include "server/request/metrics.h"
#include "server/progress.h"
#include "server/sessions/prefixes.h"
#include "server/sessions/readers.h"
#include "server/sessions/seal.h"
#include "server/sessions/store.h"
#include "server/stream/streams.h"

/* Weights are blocks of many MiB; what jobs and bodies take again and again is mostly below this. */
enum { POLL_MS = 10, ENDING_MS = 5000, RETURNED_BYTES = 1 << 20 };

/* ---- models --------------------------------------------------------------------------------- */

/* For serving alone: a command's output has no log lines in it. */
static void on_loading(void *context, const char *name, size_t at, size_t n, uint64_t bytes)
{
    char size[ROOM_TEXT_BYTES];
    (void)context;
    progress_add(bytes);
    log_line(LOG_INFO, "loading %s (%zu of %zu), %s", name, at, n, room_text(bytes, size));
}

static enum status open_repository(struct server *server, repository_listener *listener,
                                   repository_loading *loading, void *context, struct error *err)
{
    const struct config *config = server->config;
    enum status status = registry_new(&server->registry);
    if (status != STATUS_OK) return error_set(err, status, "no memory for the models");
    const struct repository_options options = {
        .registry = server->registry,
        .sources = {.folders = config->models_folders, .bundles = config->models_bundles},
        .versions = config->models_versions,
        .precisions = config->models_precision,
        .listener = listener,
        .loading = loading,
        .context = context,
    };
    status = repository_new(&options, &server->repository);
    return status == STATUS_OK ? status : error_set(err, status, "no memory for the models");
}

enum status server_load(struct server *server, struct error *err)
{
    enum status status = repository_start(server->repository, processors_ours("").begun, err);
    if (status != STATUS_NOT_FOUND) return status;
    const struct error why = *err;
    return error_set(
        err, status,
        "%s; name a folder of bundles by --models DIR or models.folders, or a bundle by --model NAME=PATH",
        why.message);
}

/* ---- everything but HTTP -------------------------------------------------------------------- */

static enum status open_scheduler(struct server *server, struct error *err)
{
    const struct config *config = server->config;
    struct processors processors = processors_ours("");
    server->n_workers = config->scheduler_workers ? (size_t)config->scheduler_workers : processors.begun;
    struct scheduler_options options = {
        .n_workers = server->n_workers,
        .team_size = processors.whole,
        .max_batch = (size_t)config->scheduler_max_batch,
        .chunk_steps = (size_t)config->scheduler_chunk_steps,
        .max_rows = (size_t)config->scheduler_max_rows,
        .queue = {.sequences = (size_t)config->scheduler_queue_sequences,
                  .steps = (uint64_t)config->scheduler_queue_steps,
                  .wait_us = config->scheduler_queue_wait_ms * 1000,
                  .priority_us = config->scheduler_priority_ms * 1000},
    };
    job_total_limit((size_t)config->limits_jobs_bytes);
    return scheduler_new(&options, &server->scheduler, err);
}

enum status server_open(struct server *server, const struct config *config,
                        repository_listener *listener, repository_loading *loading, void *context,
                        struct error *err)
{
    memset(server, 0, sizeof *server);
    struct room room;
    room_read(&room);
    server->_fitted = *config;
    config_fit(&server->_fitted, room.limit);
    config = server->config = &server->_fitted;
    server->started_s = (int64_t)time(NULL);
    body_total_open(&server->bodies, config->limits_bodies_bytes, "limits.bodies_bytes");
    body_total_open(&server->replies, config->limits_replies_bytes, "limits.replies_bytes");
    enum status status = kernels_select(config->scheduler_kernels, err);
    if (status == STATUS_OK && !(server->metrics = metrics_new()))
        status = error_set(err, STATUS_NO_MEMORY, "no memory for the metrics");
    if (status == STATUS_OK) status = open_scheduler(server, err);
    if (status == STATUS_OK) status = open_repository(server, listener, loading, context, err);
    if (status != STATUS_OK) server_close(server);
    return status;
}

void server_close(struct server *server)
{
    streams_free(server->streams);
    scheduler_free(server->scheduler);
    explainer_free(server->explainer);
    loader_free(server->loader);
    store_free(server->store);
    seal_ring_close(server->seals);
    prefixes_free(server->prefixes);
    repository_free(server->repository);
    registry_free(server->registry);
    metrics_free(server->metrics);
    keys_close(server->keys);
    body_total_close(&server->bodies);
    body_total_close(&server->replies);
    server->streams = NULL;
    server->store = NULL;
    server->seals = NULL;
    server->prefixes = NULL;
    server->scheduler = NULL;
    server->explainer = NULL;
    server->loader = NULL;
    server->repository = NULL;
    server->registry = NULL;
    server->metrics = NULL;
    server->keys = NULL;
}

/* Connections, those that linger, the workers' and libraries' own: ask for as many descriptors as that
 * takes. */
static void raise_descriptors(const struct config *config)
{
    enum { OURS = 256 };
    struct rlimit limit;
    rlim_t wanted = (rlim_t)config->limits_connections + OURS;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= wanted)
        return;
    limit.rlim_cur = limit.rlim_max == RLIM_INFINITY || limit.rlim_max > wanted ? wanted : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur < wanted)
        log_line(LOG_WARNING, "only %llu open files are allowed; limits.connections (%lld) needs %llu",
                 (unsigned long long)limit.rlim_cur, (long long)config->limits_connections,
                 (unsigned long long)wanted);
}

/* ---- serving -------------------------------------------------------------------------------- */

static void on_loaded(const struct model *model)
{
    log_line(LOG_INFO,
             "model %s:%s (%s, %zu bytes of weights, %s) loaded in %.1f ms; %zu golden cases within %.2g, "
             "%.2g allowed",
             model->name, model->version, model->task->name, model_bytes(model),
             precision_name(network_precision(model->network)), model->load_ms, model->n_golden,
             model->proof.error, model->proof.bound);
    if (model->precision_refused)
        log_line(LOG_WARNING, "model %s:%s recommends %s and is served in float32, for it fails: %s",
                 model->name, model->version, precision_name(model->recommended), model->precision_refused);
}

static void on_model(void *context, enum repository_event event, const char *name, const struct model *model,
                     const struct error *err)
{
    struct server *server = context;
    if (server->store && event != REPOSITORY_REFUSED) store_models_changed(server->store);
    switch (event) {
    case REPOSITORY_LOADED: on_loaded(model); break;
    case REPOSITORY_UNLOADED:
        log_line(LOG_INFO, "model %s:%s is no longer served", name, model->version);
        break;
    case REPOSITORY_REFUSED: {
        struct model *old = registry_acquire(server->registry, name);
        if (old)
            log_line(LOG_ERROR, "model %s: a bundle is refused, what was served before still is: %s", name,
                     err->message);
        else log_line(LOG_ERROR, "model %s is not served: %s", name, err->message);
        model_drop(old);
    }
    }
}

static void on_unreadable(void *context, const struct error *err)
{
    (void)context;
    log_line(LOG_ERROR, "the models stay as they are: %s", err->message);
}

static enum status start_loader(struct server *server, struct error *err)
{
    const struct loader_options options = {.repository = server->repository,
                                           .queue = (size_t)server->config->models_queue,
                                           .percent = (unsigned)server->config->models_load_percent,
                                           .poll_s = server->config->models_poll_s,
                                           .failed = on_unreadable};
    return loader_start(&options, &server->loader, err);
}

static void log_keys(size_t n, const char *path)
{
    log_line(n ? LOG_INFO : LOG_WARNING, "%zu API keys in %s", n, path);
}

static void reload_keys(struct server *server)
{
    struct error err;
    size_t n;
    if (!keys_are_needed(server->keys)) return;
    if (keys_reread(server->keys, &n, &err) == STATUS_OK) log_keys(n, server->config->auth_keys_file);
    else log_line(LOG_ERROR, "the API keys stay as they were: %s", err.message);
}

static void log_seals(struct server *server)
{
    char ids[SEAL_KEYS_MAX * (SEAL_KEY_ID_BYTES + 2)];
    if (seal_has_keys(server->seals))
        log_line(LOG_INFO, "states are sealed with the last of the keys %s (sessions.seal_keys_file)",
                 seal_key_ids(server->seals, ids, sizeof ids));
}

static void reload_seals(struct server *server)
{
    struct error err;
    if (seal_ring_reread(server->seals, &err) == STATUS_OK) log_seals(server);
    else log_line(LOG_ERROR, "the keys of states stay as they were: %s", err.message);
}

/* What SIGHUP asks for. What is broken stays as it was, and is logged. */
static void reload(struct server *server, struct http *http)
{
    struct error err;
    log_line(LOG_INFO, "SIGHUP: rereading models, keys and certificates");
    reload_keys(server);
    reload_seals(server);
    if (http_reload(http, &err) != STATUS_OK)
        log_line(LOG_ERROR, "the certificate stays as it was: %s", err.message);
    loader_sync(server->loader);
}

/* A name of one of ours in a setting, with nothing behind it, is most likely misspelt. */
static void warn_of_unknown(struct server *server, const char *key, const char *text)
{
    struct per_model entry;
    while ((text = per_model_next(text, &entry))) {
        struct model *model = *entry.name ? registry_acquire(server->registry, entry.name) : NULL;
        if (*entry.name && !model)
            log_line(LOG_WARNING, "%s names model '%s', which is not served", key, entry.name);
        model_drop(model);
    }
}

static void warn_of_none(struct server *server)
{
    struct model **models;
    size_t n;
    if (registry_list(server->registry, &models, &n) != STATUS_OK) return;
    if (!n) log_line(LOG_WARNING, "no model is served: models.folders is '%s', models.bundles is '%s'",
                     server->config->models_folders, server->config->models_bundles);
    while (n) model_drop(models[--n]);
    memory_free(models);
}

static void warn_of_missing(const struct server *server)
{
    struct problem problem;
    if (!server_is_ready(server, &problem))
        log_line(LOG_WARNING, "GET /readyz says 503: %s", problem.message);
}

static void log_kernels(const struct server *server)
{
    log_line(LOG_INFO, "carousel %s: kernel set %s, %zu workers", server_version(), kernels_active()->name,
             server->n_workers);
    char allowed[ROOM_TEXT_BYTES], sum[ROOM_TEXT_BYTES];
    struct room room;
    room_read(&room);
    uint64_t memory = config_memory(server->config);
    log_line(memory > room.limit ? LOG_WARNING : LOG_INFO,
             "memory: the limits let requests take %s together, besides the models; the machine or its "
             "cgroup allows %s", room_text(memory, sum), room_text(room.limit, allowed));
    if (strcmp(kernels_active()->name, "openblas")) return;
    const char *core = kernels_openblas_core(), *advice = kernels_openblas_advice();
    log_line(advice ? LOG_WARNING : LOG_INFO, "OpenBLAS runs as %s%s%s", core ? core : "(unknown)",
             advice ? "; OPENBLAS_CORETYPE should be " : "", advice ? advice : "");
}

/* The two that stop, and SIGHUP. */
static const int signals[] = {SIGTERM, SIGINT, SIGHUP};
enum { N_STOPS = 2, N_SIGNALS = sizeof signals / sizeof *signals };

static void signal_set(size_t n, sigset_t *set)
{
    sigemptyset(set);
    for (size_t i = 0; i < n; i++) sigaddset(set, signals[i]);
}

static bool is_stop(int signal)
{
    return signal == SIGTERM || signal == SIGINT;
}

/* Wait a moment. A second signal ends the process. */
static void rest(void)
{
    sigset_t set;
    signal_set(N_STOPS, &set);
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000};
    if (!is_stop(sigtimedwait(&set, NULL, &pause))) return;
    log_line(LOG_WARNING, "second signal: exiting now");
    _exit(1);
}

/* Wait until nothing is in flight, at most until the instant. */
static bool wait_idle(struct server *server, int64_t until_us)
{
    while (atomic_load(&server->working) > 0 || atomic_load(&server->readers) > 0) {
        if (clock_us() >= until_us) return false;
        rest();
    }
    return true;
}

/* Let load balancers notice that this server is leaving. Until they do, they send work, which is served. */
static void leave(struct server *server)
{
    int64_t delay_s = server->config->server_drain_delay_s, until_us = clock_us() + delay_s * 1000000;
    if (!delay_s) return;
    atomic_store(&server->phase, SERVER_LEAVING);
    log_line(LOG_INFO, "GET /readyz says 503 from now on; new work is served for %lld s more",
             (long long)delay_s);
    while (clock_us() < until_us) rest();
}

/* false if something would not end. */
static bool drain(struct server *server, struct http *http)
{
    int64_t timeout_us = server->config->server_drain_timeout_s * 1000000;
    atomic_store(&server->phase, SERVER_DRAINING);
    log_line(LOG_INFO, "draining: %ld requests in flight, %ld WebSockets open",
             atomic_load(&server->working), atomic_load(&server->sockets));
    streams_drain(server->streams);
    readers_wake(server->store);
    if (!wait_idle(server, clock_us() + timeout_us)) {
        log_line(LOG_WARNING, "drain time is over: ending %ld requests", atomic_load(&server->working));
        atomic_store(&server->phase, SERVER_ENDING);
        scheduler_drain(server->scheduler);
        http_cancel_all(http);
        streams_cancel(server->streams);
    }
    loader_stop(server->loader); /* a request that waits for a load is answered before HTTP stops */
    wait_idle(server, clock_us() + ENDING_MS * 1000);
    scheduler_drain(server->scheduler); /* jobs whose clients have left may still be aboard */
    return scheduler_wait_idle(server->scheduler, ENDING_MS);
}

/* Signals are blocked in main and in every thread of ours, and main waits for them. Libraries may have
 * started threads before main, and those do not block them: there this handler passes them
 * on. */
static pthread_t main_thread;

static void pass_on(int signal)
{
    int reason = errno;
    pthread_kill(main_thread, signal);
    errno = reason;
}

static void handle(size_t n, void (*handler)(int))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < n; i++) sigaction(signals[i], &action, NULL);
}

static void block_signals(void)
{
    sigset_t all;
    main_thread = pthread_self();
    signal_set(N_SIGNALS, &all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    handle(N_SIGNALS, pass_on);
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a log that has reached its limit is no reason to end */
}

/* While main loads it waits for nothing, so a stop interrupts it, and a second one ends the process; SIGHUP
 * stays pending until it waits again. */
static atomic_bool stops;

static void stop_loading(int signal)
{
    (void)signal;
    if (atomic_exchange(&stops, true)) _exit(1);
}

static enum status load(struct server *server, struct error *err)
{
    sigset_t set;
    signal_set(N_STOPS, &set);
    progress_start();
    throttle_set(100, &stops);
    handle(N_STOPS, stop_loading);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    enum status status = server_load(server, err);
    progress_stop();
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    handle(N_STOPS, pass_on);
    return atomic_load(&stops) ? STATUS_CLOSING : status;
}

/* Wait for a signal, and look for changed keys as often as the loader looks for changed models. A signal that
 * comes between two looks postpones the next one, except that SIGHUP looks itself. */
static void wait_for_stop(struct server *server, struct http *http)
{
    const struct timespec pause = {.tv_sec = (time_t)server->config->models_poll_s};
    int signal = 0;
    sigset_t all;
    signal_set(N_SIGNALS, &all);
    while (!is_stop(signal)) {
        signal = pause.tv_sec ? sigtimedwait(&all, NULL, &pause) : sigwaitinfo(&all, NULL);
        if (signal == SIGHUP) reload(server, http);
        else if (signal > 0) log_line(LOG_INFO, "signal %d: stopping", signal);
        else if (errno == EAGAIN && keys_have_changed(server->keys)) reload_keys(server);
    }
}

static int64_t unix_s(void)
{
    return (int64_t)time(NULL);
}

static enum status open_vault(const struct config *config, struct vault **out, struct error *err)
{
    *out = NULL;
    if (*config->sessions_folder && *config->sessions_redis)
        return error_set_param(err, STATUS_BAD_VALUE, "sessions.redis",
                               "sessions.folder and sessions.redis are both set; expected one of them");
    if (*config->sessions_redis)
        return vault_open_redis(config->sessions_redis, config->sessions_redis_password_file, out, err);
    if (!*config->sessions_folder) return STATUS_OK;
    return vault_open_folder(config->sessions_folder, (size_t)config->sessions_entries, out, err);
}

static enum status open_store(struct server *server, struct error *err)
{
    const struct config *config = server->config;
    struct vault *vault;
    enum status status = open_vault(config, &vault, err);
    if (status != STATUS_OK) return status;
    const struct store_options options = {
        .entries = (size_t)config->sessions_entries, .bytes = (size_t)config->sessions_bytes,
        .owner_percent = (size_t)config->sessions_key_percent, .waiting = (size_t)config->sessions_waiting,
        .reply_bytes = (size_t)config->sessions_reply_bytes,
        .readers = (size_t)config->sessions_readers,
        .owner_readers = (size_t)config->sessions_key_readers, .drain_s = config->sessions_model_drain_s,
        .now_s = unix_s, .vault = vault,
        .registry = server->registry};
    status = store_new(&options, &server->store);
    if (status != STATUS_OK) return error_set(err, status, "no memory for the sessions");
    server->prefixes = prefixes_new((size_t)config->sessions_prefix_bytes);
    if (!server->prefixes) return error_set(err, STATUS_NO_MEMORY, "no memory for the beginnings of prompts");
    status = seal_ring_open(config->sessions_seal_keys_file, &server->seals, err);
    if (status == STATUS_OK) log_seals(server);
    return status;
}

static bool wants_page(const struct server *server, const struct http *http)
{
    const char *setting = server->config->server_playground;
    if (strcmp(setting, "auto")) return !strcmp(setting, "on");
    return !http_is_public(http) || keys_are_needed(server->keys);
}

static enum status listen_and_serve(struct service *service, struct server *server, struct http **http,
                                    struct error *err)
{
    enum status status = service_open(service, server, err);
    if (status != STATUS_OK) return status;
    const struct http_options options = {.config = server->config, .calls = &exchange_calls,
                                         .service = service, .watcher = service->watcher};
    status = http_start(&options, http, err);
    if (status != STATUS_OK) service_close(service);
    return status;
}

/* All but the models. On failure all is stopped. */
static enum status start(struct server *server, const struct config *config, struct service *service,
                         struct http **http, struct error *err)
{
    size_t n_keys = 0;
    enum status status = server_open(server, config, on_model, on_loading, server, err);
    if (status != STATUS_OK) return status;
    log_kernels(server);
    status = open_store(server, err);
    if (status == STATUS_OK) status = keys_open(config->auth_keys_file, &server->keys, &n_keys, err);
    if (status == STATUS_OK && keys_are_needed(server->keys)) log_keys(n_keys, config->auth_keys_file);
    if (status == STATUS_OK)
        status = explainer_new((size_t)config->limits_explain_queue, &server->explainer, err);
    if (status == STATUS_OK) status = streams_new(server, &server->streams, err);
    if (status == STATUS_OK) status = listen_and_serve(service, server, http, err);
    if (status == STATUS_OK) atomic_store(&server->has_page, wants_page(server, *http));
    if (status != STATUS_OK) server_close(server);
    else if (http_is_public(*http) && !keys_are_needed(server->keys))
        log_line(LOG_WARNING, "any client that reaches %s may use it: auth.keys_file is not set",
                 http_address(*http));
    return status;
}

/* The models, and then all that is asked, until a signal says stop. */
static enum status serve(struct server *server, struct http *http, struct error *err)
{
    log_line(LOG_INFO, "loading the models; %s serves each as soon as it has come", http_address(http));
    enum status status = load(server, err);
    if (status == STATUS_OK) status = start_loader(server, err);
    if (status != STATUS_OK) return status;
    warn_of_unknown(server, "models.precision", server->config->models_precision);
    warn_of_unknown(server, "models.versions", server->config->models_versions);
    warn_of_none(server);
    atomic_store(&server->phase, SERVER_READY);
    warn_of_missing(server);
    printf("carousel: listening on %s\n", http_address(http));
    fflush(stdout);
    wait_for_stop(server, http);
    return STATUS_OK;
}

int server_run(const struct config *config)
{
    static struct server server;
    static struct service service;
    struct error err;
    struct http *http;
    block_signals();
    log_start(config->log_level);
    memory_return_from(RETURNED_BYTES);
    raise_descriptors(config);
    enum status status = start(&server, config, &service, &http, &err);
    if (status != STATUS_OK) {
        log_line(LOG_ERROR, "%s", err.message);
        return 1;
    }
    status = serve(&server, http, &err);
    if (status == STATUS_CLOSING) log_line(LOG_INFO, "stopping before all models are loaded");
    else if (status != STATUS_OK) log_line(LOG_ERROR, "%s", err.message);
    else leave(&server);
    if (!drain(&server, http)) {
        log_line(LOG_ERROR, "work did not end; exiting");
        _exit(1);
    }
    streams_stop(server.streams);
    http_stop(http);
    service_close(&service);
    server_close(&server);
    log_line(LOG_INFO, "stopped");
    return status == STATUS_OK || status == STATUS_CLOSING ? 0 : 1;
}
