/* replay.c - a plain main for a fuzz target: feeds it each file named on the command line.
 *
 * Lets the corpora run as tests under any compiler and sanitizer, without libFuzzer.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { INPUT_BYTES_MAX = 64 * 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The whole file in a block of exactly its size, so that a sanitizer sees a read past its end. */
static uint8_t *read_input(const char *path, size_t *size)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0)
        return NULL;
    long bytes = ftell(file);
    if (bytes < 0 || bytes > INPUT_BYTES_MAX)
        return NULL;
    rewind(file);
    uint8_t *data = malloc(bytes ? (size_t)bytes : 1);
    if (!data || fread(data, 1, (size_t)bytes, file) != (size_t)bytes)
        return NULL;
    fclose(file);
    *size = (size_t)bytes;
    return data;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        size_t size = 0;
        uint8_t *data = read_input(argv[i], &size);
        if (!data) {
            fprintf(stderr, "cannot read %s\n", argv[i]);
            return 1;
        }
        LLVMFuzzerTestOneInput(data, size);
        free(data);
    }
    return 0;
}
