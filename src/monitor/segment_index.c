/* segment_index.c - growing tables, searched by hash while they grow and sorted at the end. */
#include "monitor/segment_index.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

enum { TABLE_ENTRIES_MIN = 256, LIST_ENTRIES_MIN = 16 };

static void *grow(void *list, size_t *capacity, size_t least, size_t bytes)
{
    *capacity = *capacity ? 2 * *capacity : least;
    void *grown = realloc(list, *capacity * bytes);
    if (!grown)
        abort();
    return grown;
}

static void link_entry(struct segment_table *table, size_t i)
{
    uint32_t *bucket = &table->buckets[table->entries[i].hash & (table->bucket_count - 1)];
    table->next[i] = *bucket;
    *bucket = (uint32_t)i + 1;
}

static void grow_table(struct segment_table *table)
{
    size_t capacity = table->capacity;
    table->entries = grow(table->entries, &capacity, TABLE_ENTRIES_MIN, sizeof(*table->entries));
    table->next = grow(table->next, &table->capacity, TABLE_ENTRIES_MIN, sizeof(*table->next));
    free(table->buckets);
    table->bucket_count = table->capacity;
    table->buckets = calloc(table->bucket_count, sizeof(*table->buckets));
    if (!table->buckets)
        abort();
    for (size_t i = 0; i < table->count; i++)
        link_entry(table, i);
}

void segment_table_add(struct segment_table *table, uint64_t hash, uint64_t place)
{
    assert(table->count < UINT32_MAX);
    if (table->count == table->capacity)
        grow_table(table);
    table->entries[table->count] = (struct segment_index_entry){hash, place};
    link_entry(table, table->count++);
}

size_t segment_table_find(const struct segment_table *table, uint64_t hash, size_t skip,
                          uint64_t *places, size_t max)
{
    size_t found = 0;
    uint32_t at = table->count ? table->buckets[hash & (table->bucket_count - 1)] : 0;
    for (; at && found < max; at = table->next[at - 1]) {
        const struct segment_index_entry *entry = &table->entries[at - 1];
        if (entry->hash != hash)
            continue;
        if (skip)
            skip--;
        else
            places[found++] = entry->place;
    }
    return found;
}

static void table_done(struct segment_table *table)
{
    free(table->entries);
    free(table->next);
    free(table->buckets);
    *table = (struct segment_table){0};
}

void segment_index_add_block(struct segment_index *index, const struct segment_index_block *block)
{
    if (index->block_count == index->block_capacity)
        index->blocks =
            grow(index->blocks, &index->block_capacity, LIST_ENTRIES_MIN, sizeof(*block));
    index->blocks[index->block_count++] = *block;
}

void segment_index_add_schema(struct segment_index *index, uint64_t offset, uint32_t serial)
{
    if (index->schema_count == index->schema_capacity)
        index->schemas = grow(index->schemas, &index->schema_capacity, LIST_ENTRIES_MIN,
                              sizeof(*index->schemas));
    index->schemas[index->schema_count++] = (struct segment_index_schema){offset, serial, 0};
}

void segment_index_done(struct segment_index *index)
{
    free(index->blocks);
    free(index->schemas);
    table_done(&index->ids);
    table_done(&index->keys);
    *index = (struct segment_index){0};
}

static int compare(const void *a, const void *b)
{
    const struct segment_index_entry *x = a, *y = b;
    if (x->hash != y->hash)
        return x->hash < y->hash ? -1 : 1;
    return (x->place > y->place) - (x->place < y->place);
}

/* Others search the table as it is: the sorted one is a copy. */
static void write_table(const struct segment_table *table, struct buf *out)
{
    size_t bytes = table->count * sizeof(*table->entries);
    struct segment_index_entry *sorted = malloc(bytes + 1);
    if (!sorted)
        abort();
    if (bytes) {
        memcpy(sorted, table->entries, bytes);
        qsort(sorted, table->count, sizeof(*sorted), compare);
    }
    buf_append(out, sorted, bytes);
    free(sorted);
}

void segment_index_write(const struct segment_index *index, struct buf *out)
{
    const struct segment_index_head head = {(uint32_t)index->block_count,
                                            (uint32_t)index->schema_count, index->ids.count,
                                            index->keys.count};
    buf_append(out, &head, sizeof(head));
    buf_append(out, index->blocks, index->block_count * sizeof(*index->blocks));
    buf_append(out, index->schemas, index->schema_count * sizeof(*index->schemas));
    write_table(&index->ids, out);
    write_table(&index->keys, out);
}
