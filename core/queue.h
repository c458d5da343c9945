/* queue: who waits to board, and who is next.
 *
 * Everyone waits in the line of their network, because room aboard is room beside riders of the same network,
 * and in it in the flow of their share, the number of the client whose work they are. Who is next in a line:
 *
 * - Between flows: start-time fair queueing (Goyal, Vin, Cheng, "Start-time Fair Queuing", SIGCOMM 1996), in
 *   steps. Each flow has a start tag; the flow with the smallest one is served, its tag grows by the cost of
 *   who boarded over the flow's weight, and a flow that comes back begins no earlier than the line's clock,
 *   the tag last served. So among clients with work to do each gets steps in proportion to its weight, and a
 *   newcomer is next.
 * - Within a flow: who came first, where a level of priority counts as having come priority_us earlier. So a
 *   low priority waits longer, but not for ever, and one client's priority takes nothing from another.
 *
 * A line is bounded for everybody by `sequences` and `steps` of the whole queue, and for a flow by eight
 * times what is still free (dynamic thresholds: Choudhury, Hahne, IEEE/ACM Transactions on Networking 6(2),
 * 1998): one client alone gets eight ninths, and others always find some room. An empty queue takes whatever
 * comes, or what is larger than the bounds would be refused for ever.
 *
 * What is expected of the wait comes from core/pace.h. Flows and lines are found by linear search: there are
 * as many as clients and models that wait at one time. Not locked: scheduler.mu guards it. Only queue_push
 * allocates. */
#ifndef CAROUSEL_CORE_QUEUE_H
#define CAROUSEL_CORE_QUEUE_H

#include "core/pace.h"
#include "core/sequence_list.h"

enum { QUEUE_LEVELS = SEQUENCE_PRIORITY_MAX - SEQUENCE_PRIORITY_MIN + 1 };

struct queue_options {
    size_t sequences;    /* bounds of what may wait, >= 1 */
    uint64_t steps;
    int64_t wait_us;     /* refuse who would wait longer than this; 0: never for that */
    int64_t priority_us; /* how much earlier a level of priority counts as having come */
};

struct queue_level {
    struct sequence_list waiting; /* in order of arrival */
    uint64_t steps;
};

struct queue_line;

/* Stable while it has sequences that wait or are aboard. */
struct queue_flow {
    struct queue_line *line;
    uint32_t share, weight;
    size_t n, n_aboard;
    uint64_t steps;      /* that wait */
    uint64_t start;      /* the start tag, in 1/1024 steps */
    uint32_t used;       /* bit i: level[i] has somebody */
    struct queue_level level[QUEUE_LEVELS];
};

struct queue_line {
    uint64_t serial;               /* the network's (network_serial) */
    const struct network *network; /* borrowed from those who wait: not to be looked at while n is 0 */
    struct queue_flow **flows;     /* [n_flows], owned; some may be empty */
    size_t n_flows, room;
    size_t n, n_aboard;
    uint64_t steps;
    uint64_t clock, latest;        /* the start tag last served; the largest one given */
    struct pace pace;
    int64_t promised_us;           /* room until then is promised to those refused so far */
};

struct queue {
    struct queue_options options;
    struct queue_line **lines;     /* [n_lines], owned; some may be empty */
    size_t n_lines, room, next;    /* next: where the workers begin to look */
    size_t n;
    uint64_t steps;
    int64_t deadline_us;           /* nobody who waits expires before this */
    bool changed;                  /* somebody who waits was cancelled: set by the owner */
};

void queue_init(struct queue *queue, const struct queue_options *options);
void queue_release(struct queue *queue); /* must be empty of sequences */

/* What wants to wait: n sequences of one network, share, weight and priority. */
struct queue_offer {
    const struct network *network;
    uint32_t share, weight;
    int priority;
    size_t n;
    uint64_t steps;       /* of all, at most */
    uint64_t least_steps; /* of the longest, one after the other, at least */
    int64_t deadline_us;  /* 0: none */
};

/* STATUS_OK, or why not:
 * - STATUS_QUEUE_FULL: no room, or the expected wait is over the bound or clearly over the deadline. Coming
 *   back helps: *retry_us is when, counted from now, as if all that were refused before came back first.
 * - STATUS_DEADLINE: the deadline has passed, or the network has never been fast enough to keep it. */
enum status queue_judge(struct queue *queue, const struct queue_offer *offer, int64_t now,
                        int64_t *retry_us) MUST_CHECK;

/* Take in all, or none: STATUS_NO_MEMORY. They have one network, share, weight and priority. */
enum status queue_push(struct queue *queue, struct sequence *const *sequences, size_t n,
                       int64_t now) MUST_CHECK;

/* The next of the line, who is then aboard until queue_left; or NULL. With `guests`: only of flows that have
 * nobody aboard. */
struct sequence *queue_take(struct queue *queue, struct queue_line *line, bool guests, int64_t now);
/* A fork boards, beside its parent. */
void queue_board(struct queue *queue, struct sequence *child);
/* Somebody who boarded has left; nothing for others. */
void queue_left(struct sequence *sequence);

/* Take out whoever need not ride any more, or everybody where `closing`: into `out`, with their _reason. */
void queue_sweep(struct queue *queue, int64_t now, bool closing, struct sequence_list *out);

/* A turn of the network with this serial. */
void queue_note_turn(struct queue *queue, uint64_t serial, int64_t us, uint64_t steps);

#endif
