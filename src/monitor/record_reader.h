/* record_reader.h - kept records one after the other, in the order in which they were taken.
 *
 * Times of neighbours may differ by the milliseconds for which several data threads hand over. One
 * block is in memory at a time.
 */
#ifndef SLIPWAY_MONITOR_RECORD_READER_H
#define SLIPWAY_MONITOR_RECORD_READER_H

#include "monitor/record_store.h"

struct record_filter {
    const char *model; /* NULL: any */
    int64_t version;   /* 0: any */
    int64_t from_us;   /* at or after */
    int64_t to_us;     /* before; 0: no end */
};

/* Where reading goes on: a segment and the offset of a record in it. Zeroed: the beginning. */
struct record_cursor {
    int64_t segment;
    uint64_t offset;
};

struct record_reader;

/* `filter` is copied, its model is borrowed. */
struct record_reader *record_reader_open(struct record_store *store,
                                         const struct record_filter *filter,
                                         struct record_cursor from);

/* The next record; valid until the next call. ERR_NOT_FOUND at the end. A damaged block ends its
 * segment: the records behind it are left out, and counted in record_reader_skipped. */
enum err_code record_reader_next(struct record_reader *reader, struct record *record,
                                 struct err *err);

/* Behind the record that was returned last, and where that one is. */
struct record_cursor record_reader_cursor(const struct record_reader *reader);
struct record_cursor record_reader_place(const struct record_reader *reader);

/* Segments that were not read to their end because they are damaged. */
int record_reader_skipped(const struct record_reader *reader);

void record_reader_close(struct record_reader *reader); /* NULL is allowed */

/* "42.81920", as it is given to callers; false when a text is none. */
enum { RECORD_CURSOR_BYTES = 48 };
const char *record_cursor_format(struct record_cursor cursor, char out[RECORD_CURSOR_BYTES]);
bool record_cursor_parse(struct str text, struct record_cursor *cursor);

#endif
