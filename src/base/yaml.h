/* yaml.h - files people write (contracts, options): YAML or JSON in, one tree of values out.
 *
 * Everything above reads one kind of tree, a yyjson value, whichever form the file had. Plain
 * scalars follow the YAML 1.2 core schema: null ~ true false, integers (also 0x, 0o), floats;
 * everything else is text, so `no`, `on` and `12:30:00` mean what they look like. Refused are .inf
 * and .nan, integers past 64 bits, anchors and aliases, tags, several documents, duplicate keys and
 * keys that are not text: a file that decides what production accepts says plainly what it means.
 */
#ifndef SLIPWAY_BASE_YAML_H
#define SLIPWAY_BASE_YAML_H

#include "base/arena.h"
#include "base/err.h"
#include "base/json.h"

enum {
    YAML_BYTES_MAX = 16 * 1024 * 1024,
    YAML_DEPTH_MAX = 32,
    YAML_NODES_MAX = 2 * 1000 * 1000,
};

/* Parse; the tree lives in `arena`. ERR_INVALID names line and column, ERR_LIMIT is for the three
 * limits above and the arena's. `bytes` need not outlive the call. */
enum err_code yaml_read(struct str bytes, struct arena *arena, yyjson_val **root, struct err *err);

/* A value as block-style YAML that yaml_read reads back as the same value. Text is quoted only
 * where plain text would read as something else, here or in a YAML 1.1 reader; lists of short
 * scalars stand on one line. */
void yaml_write(struct buf *buf, yyjson_val *value);

#endif
