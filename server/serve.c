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

#include "core/clock.h"
#include "core/kernels.h"
#include "core/memory.h"
#include "core/throttle.h"
#include "models/per_model.h"
#include "models/job.h"
#include "server/errors.h"
#include "server/http.h"
#include "server/keys.h"
#include "server/log.h"
#include "server/metrics.h"

/* Weights are blocks of many MiB; what jobs and bodies take again and again is mostly below this. */
enum { POLL_MS = 10, ENDING_MS = 5000, RETURNED_BYTES = 1 << 20 };

#ifndef CAROUSEL_VERSION
#define CAROUSEL_VERSION "unversioned"
#endif

const char *server_version(void)
{
    return CAROUSEL_VERSION;
}

/* ---- models --------------------------------------------------------------------------------- */

static enum status open_repository(struct server *server, repository_listener *listener, void *context,
                                   struct error *err)
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
        .context = context,
    };
    status = repository_new(&options, &server->repository);
    return status == STATUS_OK ? status : error_set(err, status, "no memory for the models");
}

enum status server_load(struct server *server, struct error *err)
{
    enum status status = repository_sync(server->repository, err);
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
    server->n_workers = config->scheduler_workers ? (size_t)config->scheduler_workers : server_processors();
    struct scheduler_options options = {
        .n_workers = server->n_workers,
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
                        repository_listener *listener, void *context, struct error *err)
{
    memset(server, 0, sizeof *server);
    server->config = config;
    server->started_s = (int64_t)time(NULL);
    server->bodies.limit = config->limits_bodies_bytes;
    server->replies.limit = config->limits_replies_bytes;
    enum status status = kernels_select(config->scheduler_kernels, err);
    if (status == STATUS_OK && !(server->metrics = metrics_new()))
        status = error_set(err, STATUS_NO_MEMORY, "no memory for the metrics");
    if (status == STATUS_OK) status = open_scheduler(server, err);
    if (status == STATUS_OK) status = open_repository(server, listener, context, err);
    if (status != STATUS_OK) server_close(server);
    return status;
}

void server_close(struct server *server)
{
    scheduler_free(server->scheduler);
    loader_free(server->loader);
    repository_free(server->repository);
    registry_free(server->registry);
    metrics_free(server->metrics);
    keys_close(server->keys);
    server->scheduler = NULL;
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

/* ---- readiness ------------------------------------------------------------------------------ */

/* Nobody knows how long loading will still take. Who waits as long again as it has taken comes at most after
 * twice the time, and asks seldom. */
static unsigned loading_retry_s(const struct server *server)
{
    enum { MOST_S = 60 };
    int64_t so_far_s = (int64_t)time(NULL) - server->started_s;
    return so_far_s < 1 ? 1 : so_far_s > MOST_S ? MOST_S : (unsigned)so_far_s;
}

bool server_is_ready(const struct server *server, struct problem *problem)
{
    int phase = atomic_load(&server->phase);
    if (phase == SERVER_READY) return true;
    problem_set(problem, phase == SERVER_LOADING ? FAULT_LOADING : FAULT_DRAINING, NULL, NULL);
    if (phase == SERVER_LOADING) problem->retry_after_s = loading_retry_s(server);
    return false;
}

/* ---- serving -------------------------------------------------------------------------------- */

static void on_loaded(const struct model *model)
{
    log_line(LOG_INFO,
             "model %s:%s (%s, %zu bytes of weights, %s) loaded in %.1f ms; %zu golden cases within %.2g",
             model->name, model->version, task_name(model->task), network_bytes(model->network),
             precision_name(network_precision(model->network)), model->load_ms, model->n_golden,
             model->golden_error);
    if (model->precision_refused)
        log_line(LOG_WARNING, "model %s:%s recommends %s and is served in float32, for it fails: %s",
                 model->name, model->version, precision_name(model->recommended), model->precision_refused);
}

static void on_model(void *context, enum repository_event event, const char *name, const struct model *model,
                     const struct error *err)
{
    struct server *server = context;
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

/* What SIGHUP asks for. What is broken stays as it was, and is logged. */
static void reload(struct server *server, struct http *http)
{
    struct error err;
    log_line(LOG_INFO, "SIGHUP: rereading models, keys and certificates");
    reload_keys(server);
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

static void log_kernels(const struct server *server)
{
    log_line(LOG_INFO, "carousel %s: kernel set %s, %zu workers", server_version(), kernels_active()->name,
             server->n_workers);
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

/* Wait until nothing is in flight, at most until the instant. A second signal ends the process. */
static bool wait_idle(struct server *server, int64_t until_us)
{
    sigset_t set;
    signal_set(N_STOPS, &set);
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000};
    while (atomic_load(&server->working) > 0) {
        if (clock_us() >= until_us) return false;
        if (!is_stop(sigtimedwait(&set, NULL, &pause))) continue;
        log_line(LOG_WARNING, "second signal: exiting now");
        _exit(1);
    }
    return true;
}

/* false where something would not end. */
static bool drain(struct server *server, struct http *http)
{
    int64_t timeout_us = server->config->server_drain_timeout_s * 1000000;
    atomic_store(&server->phase, SERVER_DRAINING);
    log_line(LOG_INFO, "draining: %ld requests in flight", atomic_load(&server->working));
    if (!wait_idle(server, clock_us() + timeout_us)) {
        log_line(LOG_WARNING, "drain time is over: ending %ld requests", atomic_load(&server->working));
        atomic_store(&server->phase, SERVER_ENDING);
        scheduler_drain(server->scheduler);
        http_cancel_all(http);
    }
    loader_stop(server->loader); /* who waits for a load is told before HTTP stops */
    wait_idle(server, clock_us() + ENDING_MS * 1000);
    scheduler_drain(server->scheduler); /* jobs whose clients have left may still be aboard */
    return scheduler_wait_idle(server->scheduler, ENDING_MS);
}

/* Signals are blocked in main and in every thread of ours, and main waits for them. Libraries may have
 * started threads before main (OpenBLAS does), where they are not blocked: there this handler passes them
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
    throttle_set(100, &stops);
    handle(N_STOPS, stop_loading);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    enum status status = server_load(server, err);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    handle(N_STOPS, pass_on);
    return atomic_load(&stops) ? STATUS_CLOSING : status;
}

static void wait_for_stop(struct server *server, struct http *http)
{
    int signal = 0;
    sigset_t all;
    signal_set(N_SIGNALS, &all);
    while (!is_stop(signal)) {
        if (sigwait(&all, &signal)) continue;
        if (signal == SIGHUP) reload(server, http);
        else log_line(LOG_INFO, "signal %d: stopping", signal);
    }
}

/* All but the models. On failure all is stopped. */
static enum status start(struct server *server, const struct config *config, struct http **http,
                         struct error *err)
{
    size_t n_keys = 0;
    enum status status = server_open(server, config, on_model, server, err);
    if (status != STATUS_OK) return status;
    log_kernels(server);
    status = keys_open(config->auth_keys_file, &server->keys, &n_keys, err);
    if (status == STATUS_OK && keys_are_needed(server->keys)) log_keys(n_keys, config->auth_keys_file);
    if (status == STATUS_OK) status = http_start(server, http, err);
    if (status != STATUS_OK) server_close(server);
    else if (http_is_public(*http) && !keys_are_needed(server->keys))
        log_line(LOG_WARNING, "everybody who reaches %s may use it: auth.keys_file is not set",
                 http_address(*http));
    return status;
}

/* The models, and then all that is asked, until a signal says stop. */
static enum status serve(struct server *server, struct http *http, struct error *err)
{
    log_line(LOG_INFO, "loading the models; %s tells until then that it is not ready", http_address(http));
    enum status status = load(server, err);
    if (status == STATUS_OK) status = start_loader(server, err);
    if (status != STATUS_OK) return status;
    warn_of_unknown(server, "models.precision", server->config->models_precision);
    warn_of_unknown(server, "models.versions", server->config->models_versions);
    warn_of_none(server);
    atomic_store(&server->phase, SERVER_READY);
    printf("carousel: listening on %s\n", http_address(http));
    fflush(stdout);
    wait_for_stop(server, http);
    return STATUS_OK;
}

int server_run(const struct config *config)
{
    static struct server server;
    struct error err;
    struct http *http;
    block_signals();
    log_start(config->log_level);
    memory_return_from(RETURNED_BYTES);
    raise_descriptors(config);
    enum status status = start(&server, config, &http, &err);
    if (status != STATUS_OK) {
        log_line(LOG_ERROR, "%s", err.message);
        return 1;
    }
    status = serve(&server, http, &err);
    if (status == STATUS_CLOSING) log_line(LOG_INFO, "stopping before all models are loaded");
    else if (status != STATUS_OK) log_line(LOG_ERROR, "%s", err.message);
    if (!drain(&server, http)) {
        log_line(LOG_ERROR, "work did not end; exiting");
        _exit(1);
    }
    http_stop(http);
    server_close(&server);
    log_line(LOG_INFO, "stopped");
    return status == STATUS_OK || status == STATUS_CLOSING ? 0 : 1;
}
