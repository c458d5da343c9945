/* queue: the sequences that wait to board, and which of them is next.
 *
 * A sequence waits in the line of its network, because room aboard is room beside sequences of the same
 * network. Networks that one sequence passes through, such as an encoder and a decoder, are a family and have
 * one line, so that fairness and pace hold for the whole way. In the line it waits in the flow of its client,
 * which is the number of its client. The next sequence of a line is found so:
 *
 * - Between flows: start-time fair queueing (Goyal, Vin, Cheng, "Start-time Fair Queuing", SIGCOMM 1996), in
 *   steps. Each flow has a start tag. The flow with the smallest tag is served, and its tag grows by the cost
 *   of the sequence that boarded, divided by the flow's weight. A flow that comes back begins no earlier than
 *   the line's clock, which is the tag last served. So each client with work to do gets steps in
 *   proportion to its weight, and a new client is next.
 * - Within a flow: by arrival. A level of priority counts as an arrival priority_us earlier. So a
 *   low priority waits longer, but not for ever, and one client's priority costs another client nothing.
 *
 * `sequences` and `steps` bound the whole queue. A flow is bounded by eight times what is still free (dynamic
 * thresholds: Choudhury, Hahne, IEEE/ACM Transactions on Networking 6(2), 1998): one client alone gets eight
 * ninths, and others always find some room. An empty queue accepts any offer; otherwise an offer larger than
 * the bounds would be refused for ever.
 *
 * The expected wait comes from core/scheduler/pace.h. Flows and lines are found by linear search: their
 * number is that of the clients and models that wait at one time. Not locked: scheduler.mu guards it. Only
 * queue_push allocates. */
#ifndef CAROUSEL_CORE_QUEUE_H
#define CAROUSEL_CORE_QUEUE_H

#include "core/scheduler/pace.h"
#include "core/scheduler/sequence_list.h"

enum { QUEUE_LEVELS = SEQUENCE_PRIORITY_MAX - SEQUENCE_PRIORITY_MIN + 1 };

struct queue_options {
    size_t sequences;    /* bounds of what may wait, >= 1 */
    uint64_t steps;
    int64_t wait_us;     /* refuse an offer that would wait longer than this; 0: no bound */
    int64_t priority_us; /* how much earlier a level of priority counts as an arrival */
};

struct queue_level {
    struct sequence_list waiting; /* in order of arrival */
    uint64_t steps;
};

struct queue_line;

/* Stable while it has sequences that wait or are aboard. */
struct queue_flow {
    struct queue_line *line;
    uint32_t client, weight;
    size_t n, n_aboard;
    uint64_t steps;      /* that wait */
    uint64_t start;      /* the start tag, in 1/1024 steps */
    uint32_t used;       /* bit i: level[i] is not empty */
    struct queue_level level[QUEUE_LEVELS];
};

struct queue_line {
    uint64_t family;               /* the networks' (network_family) */
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
    int64_t deadline_us;           /* no sequence that waits expires before this */
    bool changed;                  /* a sequence that waits was cancelled: set by the owner */
};

void queue_init(struct queue *queue, const struct queue_options *options);
void queue_release(struct queue *queue); /* must be empty of sequences */

/* An offer to the queue: n sequences of one network, client, weight and priority. */
struct queue_offer {
    const struct network *network;
    uint32_t client, weight;
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

/* Accept all, or none with STATUS_NO_MEMORY. All have one family of networks, client, weight and priority. */
enum status queue_push(struct queue *queue, struct sequence *const *sequences, size_t n,
                       int64_t now) MUST_CHECK;

/* The next of the line, which is then aboard until queue_left; or NULL. With `newcomers`: only of flows that
 * have no sequence aboard. */
struct sequence *queue_take(struct queue *queue, struct queue_line *line, bool newcomers, int64_t now);
/* A fork boards, beside its parent. */
void queue_board(struct queue *queue, struct sequence *child);
/* Note that a sequence has left. Does nothing for a sequence that never boarded. */
void queue_left(struct sequence *sequence);

/* Move the sequences that need not ride any more into `out`, with their _reason: all of them if `closing`. */
void queue_sweep(struct queue *queue, int64_t now, bool closing, struct sequence_list *out);

/* Note a turn of a network of this family. */
void queue_note_turn(struct queue *queue, uint64_t family, int64_t us, uint64_t steps);

#endif
