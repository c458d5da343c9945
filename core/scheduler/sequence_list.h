/* sequence_list: a linked list of sequences through their _next and _previous: the scheduler's queue, lanes
 * and inboxes. A sequence is in at most one list. The owner of a list says what guards it. */
#ifndef CAROUSEL_CORE_SEQUENCE_LIST_H
#define CAROUSEL_CORE_SEQUENCE_LIST_H

#include "core/scheduler/sequence.h"

/* Zero is the empty list. */
struct sequence_list {
    struct sequence *head, *tail;
    size_t n;
};

void list_push(struct sequence_list *list, struct sequence *sequence); /* at the tail */
void list_push_front(struct sequence_list *list, struct sequence *sequence); /* at the head */
struct sequence *list_pop(struct sequence_list *list);                 /* the head, or NULL */
void list_remove(struct sequence_list *list, struct sequence *sequence); /* from anywhere in it */


/* Why `sequence` must leave now, or STATUS_OK. */
enum status sequence_leave_reason(const struct sequence *sequence, int64_t now);

#endif
