/* runtime.c - finding a runtime in the table, and its place for files. */
#include "runtime/runtime.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/option.h"

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

static struct runtime_list list_of(const struct option_list *list)
{
    return (struct runtime_list){list->items, list->count};
}

struct runtime_host runtime_host_of(const struct options *options)
{
    static const char *const sandboxes[] = {"require", "try", "off"};
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int count = cores < 1 ? 1 : (int)cores;
    return (struct runtime_host){
        .work_dir = "",
        .python = options->python_path,
        .python_environments = options->python_environments.items,
        .python_environment_count = options->python_environments.count,
        .python_sandbox = sandboxes[options->python_sandbox],
        .onnxruntime = options->onnxruntime_path,
        .onnx_threads = options->onnx_threads ? (int)options->onnx_threads : count,
        .thread_count = count,
        .remote_endpoints = list_of(&options->remote_endpoints),
        .remote_certificates = list_of(&options->remote_certificates),
        .remote_tokens = list_of(&options->remote_tokens),
        .remote_ca = options->remote_ca,
    };
}

enum err_code runtime_make_work_dir(const struct runtime_host *host, struct err *err)
{
    if (mkdir(host->work_dir, 0700) && errno != EEXIST)
        return err_set_errno(err, errno, "making '%s'", host->work_dir);
    return ERR_OK;
}
