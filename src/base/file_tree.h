/* file_tree.h - a folder with all that is in it: what it takes on the disk, and how it goes.
 *
 * What is in it may be anybody's: links are removed, never followed, and only the folder's own file
 * system is looked at. Folders in folders are followed FILE_TREE_DEPTH_MAX deep.
 */
#ifndef SLIPWAY_BASE_FILE_TREE_H
#define SLIPWAY_BASE_FILE_TREE_H

#include <stdint.h>

#include "base/err.h"

enum { FILE_TREE_DEPTH_MAX = 64 };

/* Bytes of all regular files in folder `name` of `dir_fd` are added to *bytes; 0 when it is not
 * there. */
enum err_code file_tree_measure(int dir_fd, const char *name, uint64_t *bytes, struct err *err);

/* Remove it; ERR_OK when it is not there. What could be removed is, also after a failure. */
enum err_code file_tree_remove(int dir_fd, const char *name, struct err *err);

#endif
