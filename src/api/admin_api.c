/* admin_api.c - care of the folder: audit trail, doctor, gc, backup. */
#include <stdlib.h>
#include <unistd.h>

#include "api/handlers.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/rand.h"
#include "event/audit.h"

enum { GC_GRACE_SECONDS = 3600, PATH_BYTES = 4096 };

/* ---- audit ---- */

static void put_event(struct json_writer *w, const struct audit_event *event)
{
    json_begin_object(w);
    json_key(w, "seq");
    json_put_i64(w, event->seq);
    json_key(w, "at");
    json_put_time(w, event->at_us);
    json_key(w, "actor");
    json_put_text(w, event->actor);
    json_key(w, "via");
    json_put_text(w, event->via);
    json_key(w, "action");
    json_put_text(w, event->action);
    json_key(w, "subject");
    json_put_text(w, event->subject);
    json_key(w, "before");
    json_put_text(w, event->before);
    json_key(w, "after");
    json_put_text(w, event->after);
    json_key(w, "request_id");
    json_put_text(w, event->request_id);
    json_key(w, "hash");
    json_put_text(w, event->hash);
    json_end_object(w);
}

enum err_code audit_get(struct call *call, struct err *err)
{
    struct audit_event *events;
    struct str subject = STR_LIT("");
    int64_t after = 0, limit = 1000;
    int count = 0;
    enum err_code rc = call_query_i64(call, "after", 0, INT64_MAX, &after, err);
    if (!rc)
        rc = call_query_i64(call, "limit", 1, 10000, &limit, err);
    if (rc)
        return rc;
    http_query_find(call->x->request.query, "subject", call->arena, &subject);
    const char *prefix = arena_copy(call->arena, subject.ptr, subject.len);
    struct store *store = control_read_begin(call->node->control);
    rc = audit_list(store, prefix, after, (int)limit, call->arena, &events, &count, err);
    control_read_end(call->node->control);
    if (rc)
        return rc;
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "events");
    json_begin_array(&w);
    for (int i = 0; i < count; i++)
        put_event(&w, &events[i]);
    json_end_array(&w);
    json_end_object(&w);
    return ERR_OK;
}

/* ---- blobs that versions name ---- */

struct digest_list {
    struct blob_digest *items;
    size_t count, capacity;
};

static enum err_code add_digest(void *arg, const struct blob_digest *digest, struct err *err)
{
    struct digest_list *list = arg;
    (void)err;
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 256;
        list->items = realloc(list->items, list->capacity * sizeof(*list->items));
        if (!list->items)
            abort();
    }
    list->items[list->count++] = *digest;
    return ERR_OK;
}

static int compare_digests(const void *a, const void *b)
{
    const struct blob_digest *x = a, *y = b;
    return strcmp(x->hex, y->hex);
}

static enum err_code named_digests(struct call *call, struct digest_list *list, struct err *err)
{
    struct store *store = control_read_begin(call->node->control);
    enum err_code rc = registry_each_blob(store, add_digest, list, err);
    control_read_end(call->node->control);
    if (list->count)
        qsort(list->items, list->count, sizeof(*list->items), compare_digests);
    return rc;
}

static bool is_named(const struct digest_list *list, const struct blob_digest *digest)
{
    return list->count &&
           bsearch(digest, list->items, list->count, sizeof(*list->items), compare_digests);
}

/* ---- doctor ---- */

struct doctor {
    struct call *call;
    struct json_writer w;
    int64_t checked, problems, records;
};

static void report(struct doctor *doctor, const char *what, const char *problem)
{
    json_begin_object(&doctor->w);
    json_key(&doctor->w, "check");
    json_put_text(&doctor->w, what);
    json_key(&doctor->w, "ok");
    json_put_bool(&doctor->w, problem == NULL);
    if (problem) {
        json_key(&doctor->w, "problem");
        json_put_text(&doctor->w, problem);
        doctor->problems++;
    }
    json_end_object(&doctor->w);
}

static void check_blobs(struct doctor *doctor)
{
    struct digest_list list = {0};
    struct err err = {0};
    struct blob_store *blobs = control_blobs(doctor->call->node->control);
    enum err_code rc = named_digests(doctor->call, &list, &err);
    for (size_t i = 0; !rc && i < list.count; i++) {
        const void *bytes;
        size_t size;
        if (i && strcmp(list.items[i].hex, list.items[i - 1].hex) == 0)
            continue;
        doctor->checked++;
        rc = blob_get(blobs, &list.items[i], &bytes, &size, &err);
        if (!rc)
            blob_release(blobs, bytes, size);
    }
    report(doctor, "blobs", rc ? err.msg : NULL);
    free(list.items);
}

static void check_store(struct doctor *doctor)
{
    struct err err = {0};
    struct store *store = control_read_begin(doctor->call->node->control);
    enum err_code rc = store_verify(store, &err);
    control_read_end(doctor->call->node->control);
    report(doctor, "store", rc ? err.msg : NULL);
}

static int64_t check_audit(struct doctor *doctor, char *head)
{
    struct err err = {0};
    int64_t count = 0;
    struct store *store = control_read_begin(doctor->call->node->control);
    enum err_code rc = audit_verify(store, &count, head, &err);
    control_read_end(doctor->call->node->control);
    report(doctor, "audit chain", rc ? err.msg : NULL);
    return count;
}

static void check_rollback_log(struct doctor *doctor)
{
    struct control_stats stats;
    control_stats(doctor->call->node->control, &stats);
    report(doctor, "rollback log",
           stats.rollback_log_pending ? "rollbacks wait for disk space to reach the store" : NULL);
}

static void check_records(struct doctor *doctor)
{
    struct err err = {0};
    struct segment *segment;
    struct segment_info info;
    enum err_code rc = ERR_OK;
    for (int64_t number = 0;
         !rc && (segment = record_store_next(doctor->call->node->records, number));) {
        segment_info(segment, &info);
        number = info.number;
        doctor->records += (int64_t)info.record_count;
        rc = segment_verify(segment, &err);
        segment_unref(segment);
    }
    report(doctor, "prediction records", rc ? err.msg : NULL);
}

enum err_code doctor_get(struct call *call, struct err *err)
{
    char head[SHA256_HEX_BYTES + 1] = "";
    struct doctor doctor = {.call = call, .w = call_json(call, 200)};
    (void)err;
    json_begin_object(&doctor.w);
    json_key(&doctor.w, "checks");
    json_begin_array(&doctor.w);
    check_store(&doctor);
    check_blobs(&doctor);
    int64_t events = check_audit(&doctor, head);
    check_rollback_log(&doctor);
    check_records(&doctor);
    json_end_array(&doctor.w);
    json_key(&doctor.w, "healthy");
    json_put_bool(&doctor.w, doctor.problems == 0);
    json_key(&doctor.w, "blobs");
    json_put_i64(&doctor.w, doctor.checked);
    json_key(&doctor.w, "prediction_records");
    json_put_i64(&doctor.w, doctor.records);
    json_key(&doctor.w, "audit_events");
    json_put_i64(&doctor.w, events);
    json_key(&doctor.w, "audit_head");
    json_put_text(&doctor.w, head);
    json_end_object(&doctor.w);
    return ERR_OK;
}

/* ---- gc ---- */

struct gc {
    struct digest_list named, unnamed, recent; /* recent: not named, and young */
    uint64_t bytes;
    int64_t young, now_us;
};

static enum err_code sort_blob(void *arg, const struct blob_digest *digest, uint64_t size,
                               int64_t modified_us, struct err *err)
{
    struct gc *gc = arg;
    if (is_named(&gc->named, digest))
        return ERR_OK;
    /* Just uploaded, about to be named by a registration. */
    if (gc->now_us - modified_us < GC_GRACE_SECONDS * CLOCK_SECOND_US) {
        gc->young++;
        return add_digest(&gc->recent, digest, err);
    }
    gc->bytes += size;
    return add_digest(&gc->unnamed, digest, err);
}

/* A registration may have begun to use the blob since it was listed; then it stays. */
static enum err_code remove_unnamed(struct blob_store *blobs, struct gc *gc,
                                    const struct blob_digest *digest, struct err *err)
{
    int64_t before_us = gc->now_us - GC_GRACE_SECONDS * CLOCK_SECOND_US;
    enum err_code rc = blob_remove_older(blobs, digest, before_us, err);
    gc->young += rc == ERR_CONFLICT;
    return rc == ERR_CONFLICT ? add_digest(&gc->recent, digest, err) : rc;
}

static bool is_there(void *arg, const char *digest_hex)
{
    const struct gc *gc = arg;
    struct blob_digest digest;
    snprintf(digest.hex, sizeof(digest.hex), "%s", digest_hex);
    for (size_t i = 0; i < gc->recent.count; i++)
        if (compare_digests(&gc->recent.items[i], &digest) == 0)
            return true;
    return is_named(&gc->named, &digest);
}

/* What runtimes have unpacked of artifacts that are gone. */
static enum err_code collect_work(struct call *call, struct runtime_left *left, struct err *err)
{
    const struct runtime_host *host = control_runtime_host(call->node->control);
    enum err_code rc = ERR_OK;
    for (int i = 0; !rc && runtimes[i]; i++)
        if (runtimes[i]->collect)
            rc = runtimes[i]->collect(host, left, err);
    return rc;
}

static enum err_code collect(struct call *call, struct gc *gc, bool is_dry, struct err *err)
{
    struct blob_store *blobs = control_blobs(call->node->control);
    enum err_code rc = named_digests(call, &gc->named, err);
    if (!rc)
        rc = blob_each(blobs, sort_blob, gc, err);
    for (size_t i = 0; !rc && !is_dry && i < gc->unnamed.count; i++)
        rc = remove_unnamed(blobs, gc, &gc->unnamed.items[i], err);
    return rc;
}

static void write_gc(struct call *call, const struct gc *gc, const struct runtime_left *left)
{
    struct json_writer w = call_json(call, 200);
    json_begin_object(&w);
    json_key(&w, "dry_run");
    json_put_bool(&w, left->is_dry);
    json_key(&w, "blobs");
    json_put_u64(&w, gc->unnamed.count);
    json_key(&w, "bytes");
    json_put_u64(&w, gc->bytes);
    json_key(&w, "kept_recent");
    json_put_i64(&w, gc->young);
    json_key(&w, "folders");
    json_put_i64(&w, left->folders);
    json_key(&w, "folder_bytes");
    json_put_u64(&w, left->bytes);
    json_end_object(&w);
}

enum err_code gc_post(struct call *call, struct err *err)
{
    static const char *const keys[] = {"dry_run", NULL};
    struct gc gc = {.now_us = clock_wall_us()};
    struct runtime_left left = {.is_kept = is_there, .arg = &gc};
    yyjson_val *root;
    enum err_code rc = call_body_object(call, &root, err);
    if (!rc)
        rc = json_check_keys(root, "the request", keys, err);
    if (!rc)
        rc = json_get_bool_opt(root, "the request", "dry_run", &left.is_dry, err);
    if (!rc)
        rc = collect(call, &gc, left.is_dry, err);
    if (!rc)
        rc = collect_work(call, &left, err);
    if (!rc)
        write_gc(call, &gc, &left);
    free(gc.named.items);
    free(gc.unnamed.items);
    free(gc.recent.items);
    return rc;
}

/* ---- backup ---- */

/* The copy is made in the folder under a name of ours, read back into the reply, and removed. */
enum err_code backup_get(struct call *call, struct err *err)
{
    char path[PATH_BYTES], name[80];
    struct buf bytes;
    struct http_response *response = &call->x->response;
    uint64_t random;
    rand_secret(&random, sizeof(random));
    snprintf(name, sizeof(name), "backups/online-%016llx.db", (unsigned long long)random);
    folder_file(control_folder(call->node->control), name, path, sizeof(path));
    struct store *store = control_read_begin(call->node->control);
    enum err_code rc = audit_backup(store, path, NULL, NULL, err);
    control_read_end(call->node->control);
    if (rc)
        return rc;
    rc = file_read(path, response->body.bytes_max, &bytes, err);
    if (!rc)
        buf_append(&response->body, bytes.data, bytes.len);
    buf_done(&bytes);
    unlink(path);
    response->content_type = "application/vnd.sqlite3";
    return rc;
}
