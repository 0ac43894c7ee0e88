/* gate_rows.c - are there rows enough, and do they keep the contract? */
#include "rollout/gate_check.h"

static void judge_count(struct gate_run *run)
{
    const struct gate_data *data = &run->data;
    struct gate_check *check = gate_add(run, "rows", "count");
    check->n = data->count;
    check->value = (double)data->count;
    check->limit = (double)run->file->rows_min;
    check->verdict = data->count >= run->file->rows_min ? GATE_PASS : GATE_CANNOT_TELL;
    gate_say(run, check,
             "%lld of %lld rows measured (%lld without truth, %lld that only the champion's "
             "contract refuses), at least %lld%s%s",
             (long long)data->count, (long long)data->row_count,
             (long long)data->without_truth_count, (long long)data->champion_rejected_count,
             (long long)run->file->rows_min, data->ignored_columns[0] ? "; ignored columns: " : "",
             data->ignored_columns);
}

enum err_code gate_contract(struct gate_run *run, struct err *err)
{
    const struct gate_data *data = &run->data;
    struct gate_check *check = gate_add(run, "contract", "rows");
    (void)err;
    check->n = data->row_count;
    check->value = (double)data->rejected_count / (double)data->row_count;
    check->limit = run->file->rejected_share_max;
    check->verdict = check->value <= check->limit ? GATE_PASS : GATE_FAIL;
    gate_say(run, check, "%lld of %lld rows break the contract%s%s",
             (long long)data->rejected_count, (long long)data->row_count,
             data->first_rejection ? "; the first: " : "",
             data->first_rejection ? data->first_rejection : "");
    judge_count(run);
    return ERR_OK;
}
