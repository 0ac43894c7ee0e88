/* fuzz_tar.c - any bytes as an archive: refused, or every entry is inside and has a safe path. */
#include <stddef.h>
#include <stdint.h>

#include "base/check.h"
#include "base/tar.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct tar_reader reader = {.bytes = {(const char *)data, size}};
    struct tar_entry entry;
    struct err err = {0};
    bool is_end = false;
    while (tar_next(&reader, &entry, &is_end, &err) == ERR_OK && !is_end) {
        assert(entry.path[0] == '\0' || tar_path_is_safe(str_of(entry.path)));
        assert(entry.is_folder || entry.path[0]);
        assert(entry.data.ptr >= reader.bytes.ptr &&
               entry.data.ptr + entry.data.len <= reader.bytes.ptr + size);
        assert(reader.at <= size);
    }
    return 0;
}
