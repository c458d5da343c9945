/* The thread starts while the signals that stop the server are blocked, so that main gets them. */
#include "server/progress.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "models/bundle/room.h"
#include "models/text/hash.h"

enum { EVERY_MS = 500 };

static const char CLEAR[] = "\r\033[K";

static pthread_mutex_t mu = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t stopped;
static bool is_shown, is_over; /* is_over: guarded by mu */
static pthread_t thread;
static _Atomic uint64_t announced;

void progress_add(uint64_t bytes)
{
    atomic_fetch_add(&announced, bytes);
}

const char *progress_text(uint64_t read, uint64_t all, unsigned seconds, char out[PROGRESS_TEXT_BYTES])
{
    char done[ROOM_TEXT_BYTES], whole[ROOM_TEXT_BYTES];
    if (read > all) read = all;
    unsigned percent = all ? (unsigned)((double)read * 100 / (double)all) : 100;
    snprintf(out, PROGRESS_TEXT_BYTES, "loading: %s of %s read (%u %%), %u s", room_text(read, done),
             room_text(all, whole), percent, seconds);
    return out;
}

static void show(int64_t began_us)
{
    char text[PROGRESS_TEXT_BYTES], line[PROGRESS_TEXT_BYTES + sizeof CLEAR];
    unsigned seconds = (unsigned)((clock_us() - began_us) / 1000000);
    int n = snprintf(line, sizeof line, "%s%s\r", CLEAR,
                     progress_text(hash_bytes_read(), atomic_load(&announced), seconds, text));
    if (n > 0 && write(STDERR_FILENO, line, (size_t)n) < 0) return; /* nothing hangs on it */
}

static void *run(void *unused)
{
    int64_t began_us = clock_us();
    (void)unused;
    pthread_mutex_lock(&mu);
    while (!is_over) {
        struct timespec until = clock_timespec_in(EVERY_MS);
        if (pthread_cond_timedwait(&stopped, &mu, &until) != 0 && !is_over) show(began_us);
    }
    pthread_mutex_unlock(&mu);
    return NULL;
}

void progress_start(void)
{
    pthread_condattr_t attributes;
    if (!isatty(STDERR_FILENO)) return;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&stopped, &attributes);
    pthread_condattr_destroy(&attributes);
    is_over = false;
    is_shown = pthread_create(&thread, NULL, run, NULL) == 0;
}

void progress_stop(void)
{
    if (!is_shown) return;
    pthread_mutex_lock(&mu);
    is_over = true;
    pthread_cond_signal(&stopped);
    pthread_mutex_unlock(&mu);
    pthread_join(thread, NULL);
    is_shown = false;
    if (write(STDERR_FILENO, CLEAR, sizeof CLEAR - 1) < 0) return;
}
