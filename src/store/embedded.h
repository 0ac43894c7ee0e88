/* embedded.h - text files that the build puts into the program.
 *
 * The Makefile turns every file of a folder into a byte array (tools/embed), so
 * the program needs no file of its own at run time. A table is in the order of
 * the file names and ends with {0}.
 */
#ifndef SLIPWAY_STORE_EMBEDDED_H
#define SLIPWAY_STORE_EMBEDDED_H

#include <stddef.h>

struct embedded_file {
    const char *name;          /* without folder: "0001_registry.sql" */
    const unsigned char *data; /* data[size] is 0, so text may be read as a string */
    size_t size;               /* bytes */
};

/* src/store/sql: the migrations. */
extern const struct embedded_file embedded_sql[];

/* python/slipway_worker: the other end of a worker's socket. */
extern const struct embedded_file embedded_python[];

#endif
