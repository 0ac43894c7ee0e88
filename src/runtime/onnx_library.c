/* onnx_library.c - opening libonnxruntime by dlopen, and its errors as ours.
 *
 * One environment for the process: sessions share one pool of threads, so a hundred loaded models
 * have no more threads than one. Its log says nothing that a status does not say too, so it is
 * dropped.
 *
 * The library of the Python wheel (seen in 1.32) starts threads that report to its maker as soon as
 * it has an environment, before DisableTelemetryEvents can be called. Only the variable
 * ORT_DISABLE_TELEMETRY keeps them away.
 */
#include "runtime/onnx_library.h"

#include <dlfcn.h>
#include <glob.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

enum { PATH_BYTES = 4096 };

static struct {
    pthread_mutex_t lock; /* of what follows, while it is being opened */
    bool is_open;
    struct onnx_library library;
    char path[PATH_BYTES];
} opened = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Before main, since the environment must not change once there are threads. */
static void __attribute__((constructor)) forbid_telemetry(void)
{
    setenv("ORT_DISABLE_TELEMETRY", "1", 1);
}

/* --- where it is ---------------------------------------------------------------------- */

/* The last that matches, which is the newest of several versions; false when none does. */
static bool newest(const char *folder, const char *pattern, char *path)
{
    char whole[PATH_BYTES];
    glob_t found;
    int size = snprintf(whole, sizeof(whole), "%s/%s", folder, pattern);
    if (size < 0 || (size_t)size >= sizeof(whole) || glob(whole, 0, NULL, &found))
        return false;
    snprintf(path, PATH_BYTES, "%s", found.gl_pathv[found.gl_pathc - 1]);
    globfree(&found);
    return true;
}

static bool is_file(const char *path)
{
    return access(path, R_OK) == 0 && strstr(path, ".so");
}

/* The library in a folder that may be one of several kinds. */
static bool find_below(const char *where, char *path)
{
    static const char *const patterns[] = {
        "libonnxruntime.so*",
        "lib/libonnxruntime.so*",
        "capi/libonnxruntime.so*",
        "onnxruntime/capi/libonnxruntime.so*",
        "lib/python3*/site-packages/onnxruntime/capi/libonnxruntime.so*",
        "site-packages/onnxruntime/capi/libonnxruntime.so*",
    };
    if (is_file(where)) {
        snprintf(path, PATH_BYTES, "%s", where);
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(patterns); i++)
        if (newest(where, patterns[i], path))
            return true;
    return false;
}

/* lib/slipway beside the folder of the program. */
static bool find_beside_program(char *path)
{
    char program[PATH_BYTES];
    ssize_t size = readlink("/proc/self/exe", program, sizeof(program) - 1);
    if (size <= 0)
        return false;
    program[size] = '\0';
    for (int i = 0; i < 2; i++) {
        char *slash = strrchr(program, '/');
        if (!slash)
            return false;
        *slash = '\0';
        if (newest(program, "lib/slipway/libonnxruntime.so*", path))
            return true;
    }
    return newest(program, "../lib/slipway/libonnxruntime.so*", path);
}

static enum err_code explain_absence(struct err *err)
{
    return err_hint(err, "'pip install onnxruntime' into an environment and name its folder in "
                         "SLIPWAY_ONNXRUNTIME_PATH or --onnxruntime-path; or install Debian's "
                         "libonnxruntime1.21; see docs/runtimes/onnx.md");
}

static void *open_path(const char *path, char *reason, size_t bytes)
{
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle)
        snprintf(reason, bytes, "%s", dlerror());
    return handle;
}

static void *open_usual(char *path, char *reason, size_t bytes)
{
    static const char *const variables[] = {"ORT_DYLIB_PATH", "VIRTUAL_ENV"};
    for (size_t i = 0; i < ARRAY_LEN(variables); i++) {
        const char *value = getenv(variables[i]);
        if (value && *value && find_below(value, path))
            return open_path(path, reason, bytes);
    }
    if (find_beside_program(path))
        return open_path(path, reason, bytes);
    snprintf(path, PATH_BYTES, "libonnxruntime.so.1");
    void *handle = open_path(path, reason, bytes);
    if (handle)
        return handle;
    char ignored[8];
    snprintf(path, PATH_BYTES, "libonnxruntime.so");
    return open_path(path, ignored, sizeof(ignored));
}

static enum err_code open_library(const char *where, char *path, void **handle, struct err *err)
{
    char reason[ERR_MSG_BYTES / 2] = "";
    if (*where && !find_below(where, path)) {
        err_set(err, ERR_UNAVAILABLE,
                "this model needs ONNX Runtime, and there is no libonnxruntime.so in '%s' "
                "(option onnxruntime_path)",
                where);
        return explain_absence(err);
    }
    *handle =
        *where ? open_path(path, reason, sizeof(reason)) : open_usual(path, reason, sizeof(reason));
    if (*handle)
        return ERR_OK;
    err_set(err, ERR_UNAVAILABLE,
            "this model needs ONNX Runtime, whose library could not be opened: %s", reason);
    return explain_absence(err);
}

/* --- what it gives ------------------------------------------------------------------------ */

enum err_code onnx_status(const struct onnx_library *library, OrtStatus *status, enum err_code code,
                          const char *what, struct err *err)
{
    if (!status)
        return ERR_OK;
    const char *message = library->api->GetErrorMessage(status);
    err_set(err, code, "%s: %s", what, message ? message : "no reason given");
    library->api->ReleaseStatus(status);
    /* Stack traces and lists of candidates come on lines of their own: the first says it. */
    err->msg[strcspn(err->msg, "\r\n")] = '\0';
    return code;
}

static void ORT_API_CALL drop_line(void *param, OrtLoggingLevel severity, const char *category,
                                   const char *logid, const char *code_location,
                                   const char *message)
{
    (void)param, (void)severity, (void)category, (void)logid, (void)code_location, (void)message;
}

static OrtStatus *make_environment(struct onnx_library *library)
{
    const OrtApi *api = library->api;
    OrtThreadingOptions *threads = NULL;
    OrtStatus *status = api->CreateThreadingOptions(&threads);
    if (!status)
        status = api->SetGlobalIntraOpNumThreads(threads, library->thread_count);
    if (!status)
        status = api->SetGlobalInterOpNumThreads(threads, 1);
    if (!status)
        status = api->SetGlobalSpinControl(threads, 0);
    if (!status)
        status = api->CreateEnvWithCustomLoggerAndGlobalThreadPools(
            drop_line, NULL, ORT_LOGGING_LEVEL_FATAL, "slipway", threads, &library->env);
    if (threads)
        api->ReleaseThreadingOptions(threads);
    if (!status)
        status = api->DisableTelemetryEvents(library->env);
    if (!status)
        status = api->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &library->memory);
    if (!status)
        status = api->GetAllocatorWithDefaultOptions(&library->allocator);
    return status;
}

static enum err_code take_functions(void *handle, struct onnx_library *library, struct err *err)
{
    const OrtApiBase *(*base)(void) = NULL;
    void *symbol = dlsym(handle, "OrtGetApiBase");
    if (!symbol)
        return err_set(err, ERR_UNAVAILABLE, "'%s' is not ONNX Runtime: it has no OrtGetApiBase",
                       library->path);
    memcpy(&base, &symbol, sizeof(base));
    library->version = base()->GetVersionString();
    library->api = base()->GetApi(ONNX_API_VERSION);
    if (library->api)
        return ERR_OK;
    err_set(err, ERR_UNAVAILABLE, "ONNX Runtime %s at '%s' is too old", library->version,
            library->path);
    return err_hint(err, "1.%d and later will do", ONNX_API_VERSION);
}

static enum err_code open_locked(const char *where, int thread_count, struct err *err)
{
    void *handle = NULL;
    struct onnx_library library = {.path = opened.path, .thread_count = thread_count};
    enum err_code rc = open_library(where, opened.path, &handle, err);
    if (rc)
        return rc;
    rc = take_functions(handle, &library, err);
    if (rc) {
        dlclose(handle);
        return rc;
    }
    /* From here on it has threads and static state, so it stays open even when this fails. */
    rc = onnx_status(&library, make_environment(&library), ERR_UNAVAILABLE,
                     "ONNX Runtime does not start", err);
    if (rc)
        return rc;
    opened.library = library;
    opened.is_open = true;
    return ERR_OK;
}

enum err_code onnx_library_open(const char *where, int thread_count,
                                const struct onnx_library **library, struct err *err)
{
    assert(thread_count >= 1 && thread_count <= ONNX_THREADS_MAX);
    enum err_code rc = ERR_OK;
    pthread_mutex_lock(&opened.lock);
    if (!opened.is_open)
        rc = open_locked(where ? where : "", thread_count, err);
    if (!rc)
        *library = &opened.library;
    pthread_mutex_unlock(&opened.lock);
    return rc;
}
