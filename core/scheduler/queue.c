/* See core/scheduler/queue.h for the discipline.
 *
 * Invariants. flow.n, flow.steps, line.n, line.steps, queue.n and queue.steps are sums of what waits in the
 * levels; a bit of flow.used is set if its level is not empty. Only an empty flow (no sequence waits, none is
 * aboard) is used again for another client, and only an empty line for another network. */
#include "core/scheduler/queue.h"

#include <assert.h>
#include <string.h>

#include "core/base/memory.h"

enum {
    THRESHOLD = 8,  /* what a flow may have waiting, in units of what is still free */
    KEPT_FLOWS = 64, /* empty flows of a line that remember their start tag before one is forgotten early */
    KEPT_LINES = 64, /* lines from which on an empty one is used again before another is made */
    FIRST_ROOM = 8,
    TAG_UNIT = 1024
};

#define RETRY_MIN_US ((int64_t)1000000)
#define RETRY_MAX_US ((int64_t)60000000)

void queue_init(struct queue *queue, const struct queue_options *options)
{
    *queue = (struct queue){.options = *options, .deadline_us = INT64_MAX};
}

static void line_free(struct queue_line *line)
{
    for (size_t i = 0; i < line->n_flows; i++) memory_free(line->flows[i]);
    memory_free(line->flows);
    memory_free(line);
}

void queue_release(struct queue *queue)
{
    for (size_t i = 0; i < queue->n_lines; i++) line_free(queue->lines[i]);
    memory_free(queue->lines);
    *queue = (struct queue){0};
}

/* ---- lines and flows ------------------------------------------------------------------------- */

/* Room for one more pointer in array[*room], of which n are used. */
static void *grown(void *array, size_t n, size_t *room)
{
    if (n < *room) return array;
    size_t larger = *room ? 2 * *room : FIRST_ROOM;
    void *block = memory_new(larger, sizeof(void *));
    if (!block) return NULL;
    if (n) memcpy(block, array, n * sizeof(void *));
    memory_free(array);
    *room = larger;
    return block;
}

static struct queue_line *line_find(const struct queue *queue, uint64_t family)
{
    for (size_t i = 0; i < queue->n_lines; i++)
        if (queue->lines[i]->family == family) return queue->lines[i];
    return NULL;
}

/* A line that no sequence needs, if there are many; or NULL. */
static struct queue_line *line_reuse(const struct queue *queue)
{
    if (queue->n_lines < KEPT_LINES) return NULL;
    for (size_t i = 0; i < queue->n_lines; i++) {
        struct queue_line *line = queue->lines[i];
        if (line->n || line->n_aboard) continue;
        for (size_t k = 0; k < line->n_flows; k++) memory_free(line->flows[k]);
        memory_free(line->flows);
        *line = (struct queue_line){0};
        return line;
    }
    return NULL;
}

static struct queue_line *line_open(struct queue *queue, uint64_t family)
{
    struct queue_line *line = line_find(queue, family);
    if (!line && !(line = line_reuse(queue))) {
        struct queue_line **lines = grown(queue->lines, queue->n_lines, &queue->room);
        if (!lines) return NULL;
        queue->lines = lines;
        line = memory_new(1, sizeof *line);
        if (!line) return NULL;
        queue->lines[queue->n_lines++] = line;
    }
    line->family = family;
    return line;
}

static struct queue_flow *flow_find(const struct queue_line *line, uint32_t client)
{
    for (size_t i = 0; line && i < line->n_flows; i++)
        if (line->flows[i]->client == client) return line->flows[i];
    return NULL;
}

/* An empty flow that has nothing to remember, for its tag is no later than the clock; or the one with the
 * earliest tag if many remember; or NULL. */
static struct queue_flow *flow_reuse(const struct queue_line *line)
{
    struct queue_flow *earliest = NULL;
    size_t n_empty = 0;
    for (size_t i = 0; i < line->n_flows; i++) {
        struct queue_flow *flow = line->flows[i];
        if (flow->n || flow->n_aboard) continue;
        n_empty++;
        if (!earliest || flow->start < earliest->start) earliest = flow;
    }
    return earliest && (earliest->start <= line->clock || n_empty > KEPT_FLOWS) ? earliest : NULL;
}

static struct queue_flow *flow_open(struct queue_line *line, uint32_t client)
{
    struct queue_flow *flow = flow_find(line, client);
    if (flow) return flow;
    flow = flow_reuse(line);
    if (!flow) {
        struct queue_flow **flows = grown(line->flows, line->n_flows, &line->room);
        if (!flows) return NULL;
        line->flows = flows;
        flow = memory_new(1, sizeof *flow);
        if (!flow) return NULL;
        line->flows[line->n_flows++] = flow;
    }
    flow->line = line;
    flow->client = client;
    flow->start = line->clock;
    return flow;
}

/* ---- what is expected ------------------------------------------------------------------------- */

static size_t level_of(int priority)
{
    assert(priority >= SEQUENCE_PRIORITY_MIN && priority <= SEQUENCE_PRIORITY_MAX);
    return (size_t)(priority - SEQUENCE_PRIORITY_MIN);
}

/* Steps that board before the offer's first: in its own flow those of its priority and higher ones; of each
 * other flow as many as its own has then had. A client with no sequence aboard is a newcomer, which boards
 * before all clients that have one.
 * Lower levels that have waited long are left out, and so is what is aboard: the estimate is rather too
 * low. */
static uint64_t steps_ahead(const struct queue_line *line, const struct queue_flow *own,
                            const struct queue_offer *offer)
{
    bool newcomer = !own || (!own->n && !own->n_aboard);
    uint64_t mine = 0, others = 0;
    for (size_t i = level_of(offer->priority); own && i < QUEUE_LEVELS; i++) mine += own->level[i].steps;
    double until = (double)(mine + offer->steps / offer->n) / (offer->weight ? offer->weight : 1);
    for (size_t i = 0; i < line->n_flows; i++) {
        const struct queue_flow *flow = line->flows[i];
        if (flow == own || (newcomer && flow->n_aboard)) continue;
        double its = until * flow->weight;
        others += (double)flow->steps < its ? flow->steps : (uint64_t)its;
    }
    return others + mine;
}

/* Microseconds until the first of the offer's boards; 0 if that is soon or unknown. */
static int64_t wait_us(struct queue_line *line, const struct queue_flow *own, const struct queue_offer *offer,
                       int64_t longest_us, int64_t now)
{
    if (!line) return 0;
    if (pace_wait_us(&line->pace, line->steps, now) <= longest_us) return 0; /* every client does */
    return pace_wait_us(&line->pace, steps_ahead(line, own, offer), now);
}

/* For n that are refused and would have found room after `after_us`. */
static int64_t promise(struct queue_line *line, size_t n, int64_t after_us, int64_t now)
{
    int64_t each_us = line ? pace_each_us(&line->pace, now) : 0;
    if (!each_us) return RETRY_MIN_US;
    if (line->promised_us < now) line->promised_us = now;
    if (line->promised_us < now + after_us) line->promised_us = now + after_us;
    line->promised_us += each_us * (int64_t)(n < 1000 ? n : 1000);
    if (line->promised_us > now + RETRY_MAX_US) line->promised_us = now + RETRY_MAX_US;
    int64_t us = line->promised_us - now;
    return us < RETRY_MIN_US ? RETRY_MIN_US : us;
}

/* Within the queue's bounds, and the flow within its own. */
static bool fits(const struct queue *queue, const struct queue_flow *flow, const struct queue_offer *offer)
{
    if (queue->n == 0) return true;
    size_t free = queue->n < queue->options.sequences ? queue->options.sequences - queue->n : 0;
    uint64_t free_steps = queue->steps < queue->options.steps ? queue->options.steps - queue->steps : 0;
    return offer->n <= free && offer->steps <= free_steps &&
           (!flow || (flow->n / THRESHOLD < free && flow->steps / THRESHOLD < free_steps));
}

enum status queue_judge(struct queue *queue, const struct queue_offer *offer, int64_t now, int64_t *retry_us)
{
    struct queue_line *line = line_find(queue, network_family(offer->network));
    struct queue_flow *flow = flow_find(line, offer->client);
    int64_t left_us = offer->deadline_us ? offer->deadline_us - now : INT64_MAX;
    int64_t least_us = line ? pace_least_us(&line->pace, offer->least_steps) : 0;
    if (left_us <= 0 || least_us > left_us) return STATUS_DEADLINE;
    if (!fits(queue, flow, offer)) {
        *retry_us = promise(line, offer->n, 0, now);
        return STATUS_QUEUE_FULL;
    }
    /* A wait is an estimate: half as much again as there is time for. */
    int64_t longest_us = offer->deadline_us ? (left_us - least_us) / 2 * 3 : INT64_MAX;
    if (queue->options.wait_us && queue->options.wait_us < longest_us) longest_us = queue->options.wait_us;
    if (longest_us == INT64_MAX) return STATUS_OK;
    int64_t us = wait_us(line, flow, offer, longest_us, now);
    if (us <= longest_us) return STATUS_OK;
    *retry_us = promise(line, offer->n, us - longest_us, now);
    return STATUS_QUEUE_FULL;
}

/* ---- in and out ------------------------------------------------------------------------------- */

enum status queue_push(struct queue *queue, struct sequence *const *sequences, size_t n, int64_t now)
{
    struct queue_line *line = line_open(queue, network_family(sequences[0]->network));
    struct queue_flow *flow = line ? flow_open(line, sequences[0]->client) : NULL;
    if (!flow) return STATUS_NO_MEMORY;
    size_t i = level_of(sequences[0]->priority);
    if (!flow->n && flow->start < line->clock) flow->start = line->clock;
    flow->weight = sequences[0]->weight ? sequences[0]->weight : 1;
    for (size_t k = 0; k < n; k++) {
        struct sequence *sequence = sequences[k];
        assert(network_family(sequence->network) == line->family && sequence->client == flow->client &&
               level_of(sequence->priority) == i);
        sequence->stats = (struct sequence_stats){.submitted_us = now};
        sequence->_flow = flow;
        list_push(&flow->level[i].waiting, sequence);
        flow->level[i].steps += sequence->cost_steps;
        flow->steps += sequence->cost_steps;
        line->steps += sequence->cost_steps;
        queue->steps += sequence->cost_steps;
        if (sequence->deadline_us && sequence->deadline_us < queue->deadline_us)
            queue->deadline_us = sequence->deadline_us;
    }
    flow->used |= (uint32_t)1 << i;
    flow->n += n;
    line->n += n;
    queue->n += n;
    return STATUS_OK;
}

/* Out of level i of its flow. */
static void take_out(struct queue *queue, struct sequence *sequence, size_t i, int64_t now)
{
    struct queue_flow *flow = sequence->_flow;
    struct queue_line *line = flow->line;
    list_remove(&flow->level[i].waiting, sequence);
    flow->level[i].steps -= sequence->cost_steps;
    flow->steps -= sequence->cost_steps;
    line->steps -= sequence->cost_steps;
    queue->steps -= sequence->cost_steps;
    if (!flow->level[i].waiting.n) flow->used &= ~((uint32_t)1 << i);
    flow->n--;
    line->n--;
    queue->n--;
    if (line->n) return;
    pace_resume(&line->pace, now);
    line->clock = line->latest; /* no sequence waits: none is ahead of another, */
    line->promised_us = 0;      /* and a client that was promised room has not come for it */
}

/* The level whose first came first, as priorities count. */
static size_t flow_next(const struct queue_flow *flow, int64_t priority_us)
{
    size_t best = QUEUE_LEVELS;
    int64_t earliest = INT64_MAX;
    for (size_t i = QUEUE_LEVELS; i-- > 0;) {
        if (!(flow->used >> i & 1)) continue;
        int64_t came = flow->level[i].waiting.head->stats.submitted_us - (int64_t)i * priority_us;
        if (came < earliest) {
            earliest = came;
            best = i;
        }
    }
    return best;
}

struct sequence *queue_take(struct queue *queue, struct queue_line *line, bool newcomers, int64_t now)
{
    struct queue_flow *next = NULL;
    uint64_t first = UINT64_MAX;
    for (size_t i = 0; line->n && i < line->n_flows; i++) {
        struct queue_flow *flow = line->flows[i];
        if (!flow->n) continue;
        if (flow->start < first) first = flow->start;
        if ((!newcomers || !flow->n_aboard) && (!next || flow->start < next->start)) next = flow;
    }
    if (!next) return NULL;
    size_t i = flow_next(next, queue->options.priority_us);
    struct sequence *sequence = next->level[i].waiting.head;
    if (line->clock < first) line->clock = first;
    next->start += sequence->cost_steps * TAG_UNIT / next->weight;
    if (line->latest < next->start) line->latest = next->start;
    pace_board(&line->pace, sequence->cost_steps);
    take_out(queue, sequence, i, now);
    next->n_aboard++;
    line->n_aboard++;
    return sequence;
}

void queue_board(struct queue *queue, struct sequence *child)
{
    struct queue_line *line = line_find(queue, network_family(child->network));
    child->_flow = flow_find(line, child->client);
    if (!child->_flow) return; /* of another network or client than its parent, which alone keeps them */
    child->_flow->n_aboard++;
    line->n_aboard++;
}

void queue_left(struct sequence *sequence)
{
    if (!sequence->_flow) return;
    sequence->_flow->n_aboard--;
    sequence->_flow->line->n_aboard--;
    sequence->_flow = NULL;
}

/* ---- leaving before boarding ------------------------------------------------------------------ */

static void level_sweep(struct queue *queue, struct queue_flow *flow, size_t i, int64_t now, bool closing,
                        struct sequence_list *out)
{
    struct sequence *next;
    for (struct sequence *sequence = flow->level[i].waiting.head; sequence; sequence = next) {
        next = sequence->_next;
        enum status reason = closing ? STATUS_CLOSING : sequence_leave_reason(sequence, now);
        if (reason != STATUS_OK) {
            take_out(queue, sequence, i, now);
            sequence->_flow = NULL;
            sequence->_reason = reason;
            list_push(out, sequence);
        } else if (sequence->deadline_us && sequence->deadline_us < queue->deadline_us) {
            queue->deadline_us = sequence->deadline_us;
        }
    }
}

void queue_sweep(struct queue *queue, int64_t now, bool closing, struct sequence_list *out)
{
    if (!queue->changed && now < queue->deadline_us && !closing) return;
    queue->changed = false;
    queue->deadline_us = INT64_MAX;
    for (size_t i = 0; i < queue->n_lines; i++)
        for (size_t k = 0; k < queue->lines[i]->n_flows; k++) {
            struct queue_flow *flow = queue->lines[i]->flows[k];
            for (size_t level = 0; flow->n && level < QUEUE_LEVELS; level++)
                if (flow->used >> level & 1) level_sweep(queue, flow, level, now, closing, out);
        }
}

void queue_note_turn(struct queue *queue, uint64_t family, int64_t us, uint64_t steps)
{
    struct queue_line *line = line_find(queue, family);
    if (line) pace_turn(&line->pace, us, steps);
}
