/* card.c - gathering a card, finding its gaps, writing it as JSON. */
#include "rollout/card.h"

#include <math.h>

#include "base/clock.h"

/* ---- gathering ---- */

static void read_json(struct card *card, const char *text, yyjson_val **out)
{
    struct err ignored = {0};
    yyjson_val *root = NULL;
    *out = NULL;
    if (text && text[0] && !json_read(str_of(text), card->arena, &root, &ignored) &&
        yyjson_is_obj(root))
        *out = root;
}

static enum err_code read_gate(struct store *store, struct card *card, struct err *err)
{
    struct gate_result *results;
    int count = 0;
    enum err_code rc =
        gate_requirement_get(store, card->model.name, card->arena, &card->required, err);
    if (!rc)
        rc = gate_result_list(store, card->model.name, card->version.number, 1, card->arena,
                              &results, &count, err);
    if (rc || count == 0)
        return rc;
    card->has_gate = true;
    card->gate = results[0];
    read_json(card, card->gate.report, &card->report);
    return ERR_OK;
}

static void add_gap(struct card *card, const char *text)
{
    if (card->gap_count < CARD_GAPS_MAX && text)
        card->gaps[card->gap_count++] = text;
}

static bool has_text(yyjson_val *object, const char *key)
{
    yyjson_val *value = yyjson_obj_get(object, key);
    return value && !yyjson_is_null(value) && !yyjson_equals_str(value, "");
}

static void find_contract_gaps(struct card *card)
{
    const struct contract *c = card->contract;
    int without_unit = 0, without_profile = 0, inferred = 0;
    if (!c) {
        add_gap(card, "limits: the version has no contract");
        return;
    }
    for (int i = 0; i < c->input_count; i++) {
        const struct contract_field *f = c->inputs[i];
        bool is_number = f->type == TYPE_NUMBER || f->type == TYPE_INTEGER;
        without_unit += f->role == ROLE_FEATURE && is_number && !f->unit[0];
        without_profile += f->role == ROLE_FEATURE && !f->has_profile;
        inferred += f->is_range_inferred;
    }
    if (strcmp(c->status, "draft") == 0)
        add_gap(card, "limits: the contract is a draft that nobody has completed");
    if (without_unit)
        add_gap(card,
                arena_printf(card->arena, "limits: %d numeric fields have no unit", without_unit));
    if (inferred)
        add_gap(card, arena_printf(card->arena,
                                   "limits: %d ranges were inferred from rows, no "
                                   "person gave them",
                                   inferred));
    if (without_profile)
        add_gap(card, arena_printf(card->arena,
                                   "data: %d features have no baseline, so their "
                                   "drift cannot be told",
                                   without_profile));
    if (!card->has_training_rows)
        add_gap(card, "data: no digests of training rows, so leakage cannot be told");
}

static bool has_check(const struct card *card, const char *kind)
{
    yyjson_val *check;
    size_t i, count;
    yyjson_arr_foreach(
        yyjson_obj_get(card->report, "checks"), i, count,
        check) if (yyjson_equals_str(yyjson_obj_get(check, "kind"), kind)) return true;
    return false;
}

static void find_gate_gaps(struct card *card)
{
    if (!card->has_gate) {
        add_gap(card, "metrics: the version has not been through a gate");
        return;
    }
    if (strcmp(card->gate.verdict, "pass") != 0)
        add_gap(card,
                arena_printf(card->arena, "gate: the newest result is %s",
                             strcmp(card->gate.verdict, "fail") == 0 ? "fail" : "cannot tell"));
    if (card->required.file && strcmp(card->required.digest, card->gate.file_digest) != 0)
        add_gap(card, "gate: the newest result is not of the file that the model requires");
    if (!has_check(card, "slice"))
        add_gap(card, "metrics: no declared slices");
    if (!has_check(card, "fairness"))
        add_gap(card, "metrics: no groups were compared");
}

static void find_gaps(struct card *card)
{
    if (!card->model.description[0])
        add_gap(card, "purpose: the model has no description (slipway model update)");
    if (!card->version.note[0])
        add_gap(card, "purpose: the version has no note that says what is new");
    if (!has_text(card->lineage, "license"))
        add_gap(card, "license: not given (--lineage license=...)");
    if (!card->lineage || yyjson_obj_size(card->lineage) == 0)
        add_gap(card, "data: no lineage: run, code and training data are not known");
    if (!card->version.golden.hex[0])
        add_gap(card, "tests: no golden rows");
    find_contract_gaps(card);
    find_gate_gaps(card);
}

static int64_t baseline_rows(const struct contract *contract)
{
    int64_t rows = 0;
    for (int i = 0; contract && i < contract->field_count; i++)
        if (contract->fields[i].has_profile && contract->fields[i].profile.row_count > rows)
            rows = contract->fields[i].profile.row_count;
    return rows;
}

enum err_code card_read(struct store *store, const char *model, int64_t version,
                        struct str document, const struct contract *contract, struct arena *arena,
                        struct card *card, struct err *err)
{
    struct alias *aliases;
    struct alias_change *changes;
    struct rollout *rollouts;
    *card = (struct card){.arena = arena, .at_us = clock_wall_us(), .contract = contract};
    enum err_code rc = model_get(store, model, arena, &card->model, err);
    if (!rc)
        rc = version_get(store, model, version, arena, &card->version, err);
    if (!rc)
        rc = alias_list(store, model, arena, &aliases, &card->alias_count, err);
    if (!rc)
        rc = alias_history(store, model, NULL, ALIAS_HISTORY_MAX, arena, &changes,
                           &card->change_count, err);
    if (!rc)
        rc = rollout_list(store, model, false, CARD_HISTORY_MAX, arena, &rollouts,
                          &card->rollout_count, err);
    if (!rc)
        rc = read_gate(store, card, err);
    if (!rc && document.len)
        rc = training_rows_find(document, arena, &card->training, &card->has_training_rows, err);
    if (rc)
        return rc;
    card->aliases = aliases;
    card->changes = changes;
    card->rollouts = rollouts;
    card->baseline_rows = baseline_rows(contract);
    read_json(card, card->version.lineage, &card->lineage);
    read_json(card, card->version.signature, &card->signature);
    find_gaps(card);
    return ERR_OK;
}

/* ---- JSON ---- */

static void put_text(struct json_writer *w, const char *key, const char *value)
{
    json_key(w, key);
    json_put_text(w, value && value[0] ? value : NULL);
}

static void put_value(struct json_writer *w, const char *key, yyjson_val *value)
{
    json_key(w, key);
    if (value)
        json_put_value(w, value);
    else
        json_put_null(w);
}

static void put_time(struct json_writer *w, const char *key, int64_t at_us)
{
    json_key(w, key);
    json_put_time(w, at_us);
}

static void write_details(struct json_writer *w, const struct card *card)
{
    const struct version *v = &card->version;
    json_key(w, "model_details");
    json_begin_object(w);
    put_text(w, "owner", card->model.owner);
    put_text(w, "contact", card->model.owner);
    put_text(w, "purpose", card->model.description);
    put_text(w, "what_is_new", v->note);
    put_text(w, "runtime", v->runtime);
    put_value(w, "signature", card->signature);
    put_text(w, "artifact_sha256", v->artifact.hex);
    json_member_i64(w, "artifact_bytes", v->artifact_bytes);
    put_text(w, "golden_sha256", v->golden.hex);
    put_text(w, "registered_by", v->created_by);
    put_time(w, "registered_at", v->created_us);
    put_value(w, "license", yyjson_obj_get(card->lineage, "license"));
    json_key(w, "aliases");
    json_begin_array(w);
    for (int i = 0; i < card->alias_count; i++)
        if (card->aliases[i].version == v->number)
            json_put_text(w, card->aliases[i].name);
    json_end_array(w);
    json_end_object(w);
}

static void write_data(struct json_writer *w, const struct card *card)
{
    const struct contract *c = card->contract;
    json_key(w, "data");
    json_begin_object(w);
    put_value(w, "lineage", card->lineage);
    put_text(w, "contract_sha256", card->version.contract.hex);
    put_text(w, "contract_version", c ? c->version : NULL);
    put_text(w, "contract_status", c ? c->status : NULL);
    put_text(w, "contract_owner", c ? c->owner : NULL);
    json_member_i64(w, "baseline_rows", card->baseline_rows);
    json_member_i64(w, "training_rows", card->training.row_count);
    json_member_i64(w, "training_rows_repeated", card->training.repeated_count);
    put_text(w, "held_out_sha256", card->has_gate ? card->gate.data_digest : NULL);
    json_end_object(w);
}

static void write_limit(struct json_writer *w, const struct contract_field *f)
{
    json_begin_object(w);
    put_text(w, "field", f->name);
    put_text(w, "role", contract_role_name(f->role));
    put_text(w, "type", contract_type_name(f->type));
    put_text(w, "unit", f->unit);
    json_key(w, "required");
    json_put_bool(w, f->is_required);
    json_key(w, "minimum");
    json_put_f64(w, f->has_min ? f->min : NAN);
    json_key(w, "maximum");
    json_put_f64(w, f->has_max ? f->max : NAN);
    json_key(w, "range_is_inferred");
    json_put_bool(w, f->is_range_inferred);
    json_member_i64(w, "categories", f->category_count);
    json_end_object(w);
}

static void write_gate(struct json_writer *w, const struct card *card)
{
    json_key(w, "gate");
    if (!card->has_gate) {
        json_put_null(w);
        return;
    }
    json_begin_object(w);
    json_member_i64(w, "id", card->gate.id);
    put_text(w, "verdict", card->gate.verdict);
    json_member_i64(w, "rows", card->gate.row_count);
    json_member_i64(w, "champion", card->gate.champion);
    put_text(w, "file_sha256", card->gate.file_digest);
    put_text(w, "data_sha256", card->gate.data_digest);
    put_text(w, "run_by", card->gate.actor);
    put_time(w, "run_at", card->gate.at_us);
    put_value(w, "checks", yyjson_obj_get(card->report, "checks"));
    json_end_object(w);
}

static void write_history(struct json_writer *w, const struct card *card)
{
    json_key(w, "history");
    json_begin_array(w);
    for (int i = 0; i < card->change_count; i++) {
        const struct alias_change *change = &card->changes[i];
        if (change->from != card->version.number && change->to != card->version.number)
            continue;
        json_begin_object(w);
        put_time(w, "at", change->at_us);
        put_text(w, "alias", change->alias);
        put_text(w, "kind", change->kind);
        json_member_i64(w, "from", change->from);
        json_member_i64(w, "to", change->to);
        put_text(w, "by", change->actor);
        put_text(w, "reason", change->reason);
        json_end_object(w);
    }
    json_end_array(w);
}

static void write_rollouts(struct json_writer *w, const struct card *card)
{
    json_key(w, "rollouts");
    json_begin_array(w);
    for (int i = 0; i < card->rollout_count; i++) {
        const struct rollout *r = &card->rollouts[i];
        if (r->from != card->version.number && r->to != card->version.number)
            continue;
        json_begin_object(w);
        json_member_i64(w, "rollout", r->id);
        json_member_i64(w, "from", r->from);
        json_member_i64(w, "to", r->to);
        put_text(w, "state", rollout_state_name(r->state));
        put_text(w, "by", r->author);
        put_time(w, "started_at", r->started_us);
        put_text(w, "reason", r->reason);
        json_end_object(w);
    }
    json_end_array(w);
}

void card_write_json(struct json_writer *w, const struct card *card)
{
    json_begin_object(w);
    put_text(w, "model", card->model.name);
    json_member_i64(w, "version", card->version.number);
    put_time(w, "made_at", card->at_us);
    write_details(w, card);
    write_data(w, card);
    put_value(w, "metrics", yyjson_obj_get(card->report, "metrics"));
    put_value(w, "weakest_slices", yyjson_obj_get(card->report, "worst_slices"));
    json_key(w, "limits");
    json_begin_array(w);
    for (int i = 0; card->contract && i < card->contract->input_count; i++)
        write_limit(w, card->contract->inputs[i]);
    json_end_array(w);
    write_gate(w, card);
    write_history(w, card);
    write_rollouts(w, card);
    json_key(w, "gaps");
    json_begin_array(w);
    for (int i = 0; i < card->gap_count; i++)
        json_put_text(w, card->gaps[i]);
    json_end_array(w);
    json_end_object(w);
}
