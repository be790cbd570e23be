/* spool_list.c: the entries' lists: each entry is in one, its place.
 * SPDX-License-Identifier: Apache-2.0 */
#include "spool.h"
#include <stdlib.h>

void spool_entry_free(struct spool_entry *e)
{
    if (!e) return;
    free(e->record);
    free(e);
}

void spool_list_append(struct spool_list *l, struct spool_entry *e)
{
    e->prev = l->last;
    e->next = NULL;
    *(l->last ? &l->last->next : &l->first) = e;
    l->last = e;
    l->count++;
}

void spool_list_remove(struct spool_list *l, struct spool_entry *e)
{
    *(e->prev ? &e->prev->next : &l->first) = e->next;
    *(e->next ? &e->next->prev : &l->last) = e->prev;
    e->prev = e->next = NULL;
    l->count--;
}

struct spool_entry *spool_list_take(struct spool_list *l)
{
    struct spool_entry *e = l->first;
    if (e) spool_list_remove(l, e);
    return e;
}

void spool_list_move(struct spool_list *from, struct spool_list *to)
{
    if (!from->first) return;
    from->first->prev = to->last;
    *(to->last ? &to->last->next : &to->first) = from->first;
    to->last = from->last;
    to->count += from->count;
    *from = (struct spool_list){0};
}

void spool_list_free(struct spool_list *l)
{
    for (struct spool_entry *e; (e = spool_list_take(l));)
        spool_entry_free(e);
}
