/* loaded_table.c - a list under a lock; a version is in it until its last reference is gone. */
#include "runtime/loaded_table.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

struct loaded_table {
    pthread_mutex_t lock; /* guards all of it */
    int refs;             /* its maker's, and one of each version */
    struct loaded *first; /* by table_next */
};

struct loaded_table *loaded_table_new(void)
{
    struct loaded_table *table = calloc(1, sizeof(*table));
    if (!table)
        abort();
    pthread_mutex_init(&table->lock, NULL);
    table->refs = 1;
    return table;
}

/* Locked when it is called. */
static void unref(struct loaded_table *table)
{
    bool is_last = --table->refs == 0;
    pthread_mutex_unlock(&table->lock);
    if (!is_last)
        return;
    pthread_mutex_destroy(&table->lock);
    free(table);
}

void loaded_table_free(struct loaded_table *table)
{
    if (!table)
        return;
    pthread_mutex_lock(&table->lock);
    unref(table);
}

void loaded_table_add(struct loaded_table *table, struct loaded *loaded)
{
    assert(!loaded->table);
    pthread_mutex_lock(&table->lock);
    table->refs++;
    loaded->table = table;
    loaded->table_next = table->first;
    table->first = loaded;
    pthread_mutex_unlock(&table->lock);
}

/* False: its last reference is gone, and it is about to leave the list. */
static bool take_reference(struct loaded *loaded)
{
    int refs = atomic_load_explicit(&loaded->refs, memory_order_relaxed);
    while (refs > 0)
        if (atomic_compare_exchange_weak(&loaded->refs, &refs, refs + 1))
            return true;
    return false;
}

struct loaded *loaded_table_find(struct loaded_table *table, const char *model, int64_t number)
{
    pthread_mutex_lock(&table->lock);
    struct loaded *loaded = table->first;
    while (loaded && !(loaded->number == number && strcmp(loaded->model, model) == 0 &&
                       take_reference(loaded)))
        loaded = loaded->table_next;
    pthread_mutex_unlock(&table->lock);
    return loaded;
}

void loaded_table_remove(struct loaded *loaded)
{
    struct loaded_table *table = loaded->table;
    if (!table)
        return;
    pthread_mutex_lock(&table->lock);
    struct loaded **at = &table->first;
    while (*at != loaded)
        at = &(*at)->table_next;
    *at = loaded->table_next;
    loaded->table = NULL;
    unref(table);
}
