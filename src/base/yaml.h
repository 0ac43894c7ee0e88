/* yaml.h - files people write (contracts, options): YAML or JSON in, one tree of values out.
 *
 * Read with libyaml into a yyjson document, so everything above reads one kind of tree, whichever
 * form the file had. YAML 1.2 core schema for plain scalars: null ~ true false, integers, floats
 * (.inf .nan become null with a complaint), everything else text. Anchors and aliases, tags,
 * several documents, duplicate and non-text keys are refused: a file that decides what production
 * accepts says plainly what it means.
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

/* Parse; the tree lives in `arena`. ERR_INVALID names line and column. */
enum err_code yaml_read(struct str bytes, struct arena *arena, yyjson_val **root, struct err *err);

/* A JSON value as block-style YAML, quoting only where plain text would read as something else. */
void yaml_write(struct buf *buf, yyjson_val *value);

#endif
