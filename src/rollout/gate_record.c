/* gate_record.c - what the record and the files show: rows seen in training, golden rows, who
 * answers for the version, and whether its file carries code.
 *
 * Leakage: the contract keeps digests of training rows (contract/training_rows.h). A held-out row
 * whose features were seen in training is no test. Where only a sample of digests is kept, the
 * share is that of the rows which can be looked up, with Wilson's interval; rows of few different
 * values repeat by themselves, so up to the share that repeats within the training rows is fine.
 */
#include <math.h>
#include <string.h>

#include "base/json.h"
#include "contract/training_rows.h"
#include "monitor/special.h"
#include "rollout/gate_check.h"

/* ---- leakage ---- */

static void say_no_digests(struct gate_run *run, struct gate_check *check, const char *why)
{
    check->verdict = run->file->is_leakage_required ? GATE_CANNOT_TELL : GATE_SKIPPED;
    gate_say(run, check, "%s; slipway contract infer keeps digests of the training rows", why);
}

static void judge_overlap(struct gate_run *run, struct gate_check *check,
                          const struct training_rows *training)
{
    const struct rows *rows = &run->data.candidate.rows;
    int64_t looked = 0, seen = 0;
    for (int64_t i = 0; i < run->data.count; i++) {
        uint64_t digest = training_row_digest(rows, run->data.origin[i]);
        if (!training_rows_covers(training, digest))
            continue;
        looked++;
        seen += training_rows_has(training, digest);
    }
    double natural = (double)training->repeated_count / fmax((double)training->row_count, 1);
    struct interval i = binomial_wilson(seen, looked, run->file->alpha);
    bool is_all = looked == run->data.count; /* then the share is known, not estimated */
    check->n = looked;
    check->value = looked ? (double)seen / (double)looked : NAN;
    check->low = is_all ? check->value : i.low;
    check->high = is_all ? check->value : i.high;
    check->limit = fmax(run->file->overlap_max, natural);
    check->verdict =
        looked ? gate_at_most(check->low, check->high, check->limit) : GATE_CANNOT_TELL;
    gate_say(run, check,
             "%lld of %lld rows that can be looked up were seen in training (%s to %s), at most "
             "%s%s",
             (long long)seen, (long long)looked, gate_number(run, check->low),
             gate_number(run, check->high), gate_number(run, check->limit),
             natural > run->file->overlap_max ? ", as many as repeat within the training rows"
                                              : "");
}

enum err_code gate_leakage(struct gate_run *run, struct err *err)
{
    struct training_rows training;
    bool is_there = false;
    enum err_code rc =
        training_rows_find(run->input->contract, run->arena, &training, &is_there, err);
    if (rc)
        return rc;
    struct gate_check *check = gate_add(run, "leakage", "training rows");
    if (!is_there)
        say_no_digests(run, check, "the contract keeps no digests of training rows");
    else if (training.features != training_rows_features(run->data.candidate.rows.contract))
        say_no_digests(run, check, "the contract's digests are of other features than it has now");
    else
        judge_overlap(run, check, &training);
    return ERR_OK;
}

/* ---- golden rows ---- */

static void judge_golden(struct gate_run *run)
{
    struct gate_check *check = gate_add(run, "golden", "rows");
    int count = run->data.candidate.loaded->golden_count;
    check->n = count;
    if (count) {
        check->verdict = GATE_PASS;
        gate_say(run, check, "%d golden rows answered as expected when the version was loaded",
                 count);
        return;
    }
    check->verdict = run->file->is_golden_required ? GATE_FAIL : GATE_SKIPPED;
    gate_say(run, check, "the version has no golden rows");
}

/* ---- the record ---- */

static const char *lineage_text(struct gate_run *run, const char *key)
{
    yyjson_val *root = NULL;
    struct err ignored = {0};
    if (json_read(str_of(run->input->version->lineage), run->arena, &root, &ignored))
        return "";
    yyjson_val *value = yyjson_obj_get(root, key);
    if (yyjson_is_str(value))
        return yyjson_get_str(value);
    return value && !yyjson_is_null(value) ? "(given)" : "";
}

static const char *record_text(struct gate_run *run, const char *name)
{
    if (strcmp(name, "owner") == 0)
        return run->input->model->owner;
    if (strcmp(name, "description") == 0)
        return run->input->model->description;
    if (strcmp(name, "note") == 0)
        return run->input->version->note;
    if (strcmp(name, "license") == 0)
        return lineage_text(run, "license");
    return lineage_text(run, name + strlen("lineage."));
}

static void judge_record(struct gate_run *run, const char *name)
{
    struct gate_check *check = gate_add(run, "record", name);
    const char *text = record_text(run, name);
    check->verdict = text && text[0] ? GATE_PASS : GATE_FAIL;
    if (text && text[0])
        gate_say(run, check, "%.200s", text);
    else if (strcmp(name, "owner") == 0 || strcmp(name, "description") == 0 ||
             strcmp(name, "note") == 0)
        gate_say(run, check, "is not given");
    else
        gate_say(run, check, "is not given: register with --lineage %s=...",
                 strcmp(name, "license") == 0 ? name : name + strlen("lineage."));
}

/* ---- pickles ---- */

static bool has_bytes(struct str bytes, const char *what, size_t size)
{
    return bytes.len >= size && memmem(bytes.ptr, bytes.len, what, size) != NULL;
}

/* A pickle by its first bytes (protocols 2 to 5), or a ZIP archive that names one inside, as
 * PyTorch and joblib write. */
static const char *pickle_in(struct str bytes)
{
    static const char zip[] = {'P', 'K', 3, 4};
    if (bytes.len > 2 && (unsigned char)bytes.ptr[0] == 0x80 && bytes.ptr[1] >= 2 &&
        bytes.ptr[1] <= 5)
        return "the file is a Python pickle, which runs code when it is read";
    if (bytes.len > sizeof(zip) && memcmp(bytes.ptr, zip, sizeof(zip)) == 0 &&
        (has_bytes(bytes, ".pkl", 4) || has_bytes(bytes, ".pickle", 7)))
        return "the archive has a Python pickle inside, which runs code when it is read";
    return NULL;
}

static void judge_pickle(struct gate_run *run)
{
    struct gate_check *check = gate_add(run, "record", "no pickle");
    const char *found = pickle_in(run->input->artifact);
    check->verdict = found ? GATE_FAIL : GATE_PASS;
    gate_say(run, check, "%s", found ? found : "the file carries no code");
}

enum err_code gate_records(struct gate_run *run, struct err *err)
{
    (void)err;
    judge_golden(run);
    for (int i = 0; i < run->file->record_count; i++)
        judge_record(run, run->file->records[i]);
    judge_pickle(run);
    return ERR_OK;
}
