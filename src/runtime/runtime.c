/* runtime.c - finding a runtime in the table. */
#include "runtime/runtime.h"

#include <string.h>

const struct runtime_ops *runtime_find(const char *name)
{
    for (const struct runtime_ops *const *ops = runtimes; *ops; ops++)
        if (strcmp((*ops)->name, name) == 0)
            return *ops;
    return NULL;
}

const struct runtime_ops *runtime_recognise(const void *bytes, size_t size)
{
    for (const struct runtime_ops *const *ops = runtimes; *ops; ops++)
        if ((*ops)->recognise(bytes, size))
            return *ops;
    return NULL;
}
