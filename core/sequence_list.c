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

void list_insert(struct sequence_list *list, struct sequence *sequence)
{
    if (!list->tail || list->tail->priority >= sequence->priority) {
        list_push(list, sequence);
        return;
    }
    struct sequence **at = &list->head;
    while ((*at)->priority >= sequence->priority) at = &(*at)->_next;
    sequence->_next = *at;
    *at = sequence;
    list->n++;
}
