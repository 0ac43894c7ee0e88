/* graph_models.h - the models that graphs of damaged or made-up files may name: echoes in memory.
 */
#ifndef SLIPWAY_TESTS_FUZZ_GRAPH_MODELS_H
#define SLIPWAY_TESTS_FUZZ_GRAPH_MODELS_H

#include <string.h>

#include "base/check.h"
#include "serve/graph.h"

/* The models that a file may name; others do not exist. */
static const struct {
    const char *model, *text;
} graph_test_models[] = {
    {"one", "echo:\n  inputs:\n    - {name: x, datatype: FP32, shape: [-1, 1]}\n"},
    {"two", "echo:\n  inputs:\n    - {name: x, datatype: FP32, shape: [-1, 2]}\n"},
    {"mixed", "echo:\n  inputs:\n    - {name: age, datatype: INT64, shape: [-1]}\n"
              "    - {name: note, datatype: BYTES, shape: [-1, -1], optional: true}\n"},
};

static enum err_code graph_test_get(struct blob_store *blobs, const struct blob_digest *digest,
                                    const void **bytes, size_t *size, struct err *err)
{
    const char *text = graph_test_models[digest->hex[0] - '0'].text;
    (void)blobs, (void)err;
    *bytes = text;
    *size = strlen(text);
    return ERR_OK;
}

static void graph_test_release(struct blob_store *blobs, const void *bytes, size_t size)
{
    (void)blobs, (void)bytes, (void)size;
}

static enum err_code graph_test_acquire(void *arg, const char *model, struct str version,
                                        struct loaded **loaded, struct err *err)
{
    static const struct blob_ops ops = {
        .name = "memory", .get = graph_test_get, .release = graph_test_release};
    static struct blob_head blobs = {&ops};
    (void)arg, (void)version;
    for (size_t i = 0; i < ARRAY_LEN(graph_test_models); i++) {
        struct loaded_source source = {.model = model, .number = 1, .thread_count = 1};
        source.artifact.hex[0] = (char)('0' + i);
        if (strcmp(graph_test_models[i].model, model) == 0)
            return loaded_open((struct blob_store *)&blobs, &source, loaded, err);
    }
    return err_set(err, ERR_NOT_FOUND, "model '%s' does not exist", model);
}

static const struct runtime_versions graph_test_versions = {.acquire = graph_test_acquire};

#endif
