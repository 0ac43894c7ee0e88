/* control_versions.c - how a version that is made of others, a graph, finds them. */
#include "runtime/loaded_table.h"
#include "serve/control_own.h"

static enum err_code acquire(void *arg, const char *model, struct str version,
                             struct loaded **loaded, struct err *err)
{
    struct control *control = arg;
    int64_t number = 0;
    enum err_code rc = version_resolve(control_read_begin(control), model, version, &number, err);
    control_read_end(control);
    return rc ? rc : control_acquire(control, model, number, loaded, err);
}

/* NULL while the first one is being built. */
static struct snapshot *find_snapshot(void *arg)
{
    struct control *control = arg;
    pthread_mutex_lock(&control->publish_lock);
    struct snapshot *snapshot = control->publisher.current;
    if (snapshot)
        snapshot_ref(snapshot);
    pthread_mutex_unlock(&control->publish_lock);
    return snapshot;
}

void control_init_versions(struct control *control)
{
    control->table = loaded_table_new();
    control->versions = (struct runtime_versions){acquire, find_snapshot, control};
}

const struct runtime_versions *control_versions(const struct control *control)
{
    return &control->versions;
}
