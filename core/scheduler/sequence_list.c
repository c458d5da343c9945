#include "core/scheduler/sequence_list.h"

void list_push(struct sequence_list *list, struct sequence *sequence)
{
    sequence->_next = NULL;
    sequence->_previous = list->tail;
    if (list->tail) list->tail->_next = sequence;
    else list->head = sequence;
    list->tail = sequence;
    list->n++;
}

void list_push_front(struct sequence_list *list, struct sequence *sequence)
{
    sequence->_previous = NULL;
    sequence->_next = list->head;
    if (list->head) list->head->_previous = sequence;
    else list->tail = sequence;
    list->head = sequence;
    list->n++;
}

void list_remove(struct sequence_list *list, struct sequence *sequence)
{
    struct sequence *before = sequence->_previous, *after = sequence->_next;
    if (before) before->_next = after;
    else list->head = after;
    if (after) after->_previous = before;
    else list->tail = before;
    list->n--;
}

struct sequence *list_pop(struct sequence_list *list)
{
    struct sequence *first = list->head;
    if (first) list_remove(list, first);
    return first;
}

enum status sequence_leave_reason(const struct sequence *sequence, int64_t now)
{
    if (atomic_load_explicit(&sequence->_cancelled, memory_order_acquire)) return STATUS_CANCELLED;
    if (sequence->deadline_us && now >= sequence->deadline_us) return STATUS_DEADLINE;
    return STATUS_OK;
}
