#include "core/sequence_list.h"

void list_push(struct sequence_list *list, struct sequence *sequence)
{
    sequence->_next = NULL;
    if (list->tail) list->tail->_next = sequence;
    else list->head = sequence;
    list->tail = sequence;
    list->n++;
}

void list_unlink(struct sequence_list *list, struct sequence *before, struct sequence *sequence)
{
    if (before) before->_next = sequence->_next;
    else list->head = sequence->_next;
    if (list->tail == sequence) list->tail = before;
    list->n--;
}

struct sequence *list_pop(struct sequence_list *list)
{
    struct sequence *first = list->head;
    if (first) list_unlink(list, NULL, first);
    return first;
}

void list_remove(struct sequence_list *list, struct sequence *sequence)
{
    struct sequence *before = NULL;
    for (struct sequence *s = list->head; s != sequence; s = s->_next) before = s;
    list_unlink(list, before, sequence);
}

enum status sequence_verdict(const struct sequence *sequence, int64_t now)
{
    if (atomic_load_explicit(&sequence->_cancelled, memory_order_acquire)) return STATUS_CANCELLED;
    if (sequence->deadline_us && now >= sequence->deadline_us) return STATUS_DEADLINE;
    return STATUS_OK;
}
