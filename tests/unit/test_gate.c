/* test_gate.c - verdicts of gates: statistics against scipy and statsmodels, and each kind of check
 * on rows made for it.
 */
#include "rollout/gate.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "contract/training_rows.h"
#include "rollout/gate_speed.h"

#include "gate_fixture.h"

enum { FILE_BYTES_MAX = 4 * 1024 * 1024 };

static int set_up(void **state)
{
    struct gate_fixture *f = calloc(1, sizeof(*f));
    gate_fixture_init(f);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    gate_fixture_done(*state);
    free(*state);
    return 0;
}

static void run(struct gate_fixture *f, const char *yaml, const char *csv)
{
    if (gate_with(f, yaml, csv))
        fail_msg("%s (%s)", f->err.msg, f->err.hint);
}

static void expect_verdict(const struct gate_fixture *f, const char *kind, const char *name,
                           enum gate_verdict verdict)
{
    const struct gate_check *check = check_of(f, kind, name);
    if (check->verdict != verdict)
        fail_msg("%s %s: %s: %s", kind, name, gate_verdict_name(check->verdict), check->text);
}

/* ---- against the reference ---- */

static yyjson_val *expected_of(struct gate_fixture *f)
{
    struct buf file;
    yyjson_val *root;
    assert_int_equal(file_read("tests/golden/gate/expected.json", FILE_BYTES_MAX, &file, &f->err),
                     0);
    assert_int_equal(json_read(buf_view(&file), f->arena, &root, &f->err), 0);
    buf_done(&file);
    return root;
}

static void run_reference(struct gate_fixture *f, const char *yaml)
{
    struct buf rows;
    assert_int_equal(file_read("tests/golden/gate/rows.csv", FILE_BYTES_MAX, &rows, &f->err), 0);
    run(f, yaml, arena_copy(f->arena, rows.data, rows.len));
    buf_done(&rows);
}

static double number(yyjson_val *object, const char *key)
{
    return yyjson_get_num(yyjson_obj_get(object, key));
}

static void declared_slices_agree_with_mcnemar_and_holm(void **state)
{
    struct gate_fixture *f = *state;
    yyjson_val *slice;
    size_t i, count;
    run_reference(f, "speed: {off: true}");
    yyjson_arr_foreach(yyjson_obj_get(expected_of(f), "declared"), i, count, slice)
    {
        const char *name = yyjson_get_str(yyjson_obj_get(slice, "name"));
        const struct gate_check *check = check_of(f, "slice", name);
        assert_int_equal(check->n, (int64_t)number(slice, "n"));
        assert_float_equal(check->p, number(slice, "adjusted"), 1e-12);
        assert_int_equal(check->verdict, number(slice, "adjusted") < 0.05 ? GATE_FAIL : GATE_PASS);
    }
    expect_verdict(f, "slice", "region=south", GATE_FAIL);
    expect_verdict(f, "slice", "region=west", GATE_PASS);
    assert_int_equal(f->report->verdict, GATE_FAIL);
}

/* Every found slice that is blamed, with Benjamini-Hochberg's p, and the worst one by Welch. */
static void found_slices_agree_with_welch_and_benjamini_hochberg(void **state)
{
    struct gate_fixture *f = *state;
    yyjson_val *slice;
    size_t i, count;
    int blamed = 0;
    run_reference(f, "speed: {off: true}");
    yyjson_arr_foreach(yyjson_obj_get(expected_of(f), "found"), i, count, slice)
    {
        const char *name = yyjson_get_str(yyjson_obj_get(slice, "name"));
        if (number(slice, "p_adjusted") > 0.05)
            continue;
        const struct gate_check *check = check_of(f, "worst", name);
        assert_int_equal(check->n, (int64_t)number(slice, "n"));
        assert_float_equal(check->p, number(slice, "p_adjusted"), 1e-12);
        blamed++;
    }
    assert_int_equal(blamed, 11);
    assert_string_equal(f->report->worst[0].name, "candidate in (0.26, 0.61]");
    assert_float_equal(f->report->worst[0].low, 0.11599317213859026, 1e-9);
    assert_float_equal(f->report->worst[0].p, 1.7067202647746272e-06, 1e-12);
}

static void gaps_between_groups_agree_with_newcombe(void **state)
{
    struct gate_fixture *f = *state;
    static const char *const rates[] = {"selection", "true positive", "false positive"};
    static const enum gate_verdict verdicts[] = {GATE_CANNOT_TELL, GATE_PASS, GATE_FAIL};
    run_reference(f, "speed: {off: true}\n"
                     "fairness: {groups: [sex], selection_gap_max: 0.2, "
                     "true_positive_gap_max: 0.15, false_positive_gap_max: 0.15}\n");
    yyjson_val *fairness = yyjson_obj_get(expected_of(f), "fairness");
    for (int i = 0; i < 3; i++) {
        char name[64];
        yyjson_val *rate = yyjson_obj_get(fairness, rates[i]);
        snprintf(name, sizeof(name), "%s by sex", rates[i]);
        const struct gate_check *check = check_of(f, "fairness", name);
        assert_float_equal(check->value, number(rate, "value"), 1e-12);
        assert_float_equal(check->low, number(rate, "low"), 1e-9);
        assert_float_equal(check->high, number(rate, "high"), 1e-9);
        assert_int_equal(check->verdict, verdicts[i]);
    }
}

/* ---- three verdicts ---- */

/* 180 of 200 right: Wilson 0.8506 to 0.9343. */
static void a_floor_passes_fails_or_cannot_tell(void **state)
{
    struct gate_fixture *f = *state;
    const char *rows = rows_with(f, 200, 10, 10);
    run(f, "floors: {accuracy: 0.85}\nspeed: {off: true}", rows);
    expect_verdict(f, "floor", "accuracy", GATE_PASS);
    run(f, "floors: {accuracy: 0.86}\nspeed: {off: true}", rows);
    expect_verdict(f, "floor", "accuracy", GATE_CANNOT_TELL);
    /* 200 (0.9 - 0.8506)^2 / (0.9 - 0.86)^2 = 305.1 */
    assert_non_null(strstr(check_of(f, "floor", "accuracy")->text, "about 306 rows would tell"));
    assert_int_equal(f->report->verdict, GATE_CANNOT_TELL);
    run(f, "floors: {accuracy: 0.94}\nspeed: {off: true}", rows);
    expect_verdict(f, "floor", "accuracy", GATE_FAIL);
    assert_int_equal(f->report->verdict, GATE_FAIL);
    run(f, "floors: {log_loss: 0.1}\nspeed: {off: true}", rows);
    expect_verdict(f, "floor", "log_loss", GATE_FAIL);
    run(f, "floors: {mae: 1}\nspeed: {off: true}", rows);
    expect_verdict(f, "floor", "mae", GATE_CANNOT_TELL);
}

static void a_worse_version_fails_against_the_champion(void **state)
{
    struct gate_fixture *f = *state;
    run(f, "speed: {off: true}", rows_with(f, 2000, 4, 20));
    expect_verdict(f, "champion", "accuracy", GATE_FAIL);
    run(f, "speed: {off: true}", rows_with(f, 2000, 20, 20));
    expect_verdict(f, "champion", "accuracy", GATE_PASS);
    expect_verdict(f, "champion", "auc", GATE_PASS);
    assert_int_equal(f->report->verdict, GATE_PASS);
    run(f, "speed: {off: true}", rows_with(f, 40, 20, 20));
    expect_verdict(f, "champion", "accuracy", GATE_CANNOT_TELL);
}

/* The same 3 % more wrong rows: a margin of 50 % of the champion's log loss forgives, 1 % does not.
 */
static void a_margin_may_be_a_share_of_the_champions_value(void **state)
{
    struct gate_fixture *f = *state;
    const char *rows = rows_with(f, 3000, 8, 10);
    run(f, "champion: {margins: {log_loss: 50%}}\nspeed: {off: true}", rows);
    expect_verdict(f, "champion", "log_loss", GATE_PASS);
    run(f, "champion: {margins: {log_loss: 1%}}\nspeed: {off: true}", rows);
    expect_verdict(f, "champion", "log_loss", GATE_FAIL);
    assert_false(has_check(f, "floor"));
}

static void without_a_champion_nothing_is_compared(void **state)
{
    struct gate_fixture *f = *state;
    f->input.champion = NULL;
    f->input.champion_number = 0;
    run(f, "", rows_with(f, 200, 10, 0));
    expect_verdict(f, "champion", "is there", GATE_SKIPPED);
    assert_false(has_check(f, "speed"));
    run(f, "champion: {required: true}", rows_with(f, 200, 10, 0));
    expect_verdict(f, "champion", "is there", GATE_CANNOT_TELL);
}

static void too_few_rows_never_pass(void **state)
{
    struct gate_fixture *f = *state;
    run(f, "floors: {accuracy: 0.1}", rows_with(f, 12, 0, 0));
    expect_verdict(f, "rows", "count", GATE_CANNOT_TELL);
    expect_verdict(f, "floor", "accuracy", GATE_CANNOT_TELL);
    assert_int_equal(f->report->verdict, GATE_CANNOT_TELL);
}

static void numbers_are_measured_as_numbers(void **state)
{
    struct gate_fixture *f = *state;
    f->candidate.signature = f->champion.signature = &fake_numbers;
    run(f, "floors: {mae: 0.5}\nspeed: {off: true}", rows_with(f, 200, 10, 10));
    expect_verdict(f, "champion", "mae", GATE_PASS);
    expect_verdict(f, "floor", "mae", GATE_PASS);
    assert_true(f->report->candidate[QUALITY_RMSE].is_measured);
    assert_false(f->report->candidate[QUALITY_ACCURACY].is_measured);
    run(f, "group: region\nspeed: {off: true}", rows_with(f, 200, 10, 10));
    assert_true(f->report->candidate[QUALITY_NDCG].is_measured);
}

static void calibration_is_judged_when_the_file_asks(void **state)
{
    struct gate_fixture *f = *state;
    /* p is 0.2 and 0.8, and 1 of 5 is wrong: calibrated, slope 1. */
    run(f, "calibration: {ece_max: 0.05, brier_max: 0.2, slope: [0.9, 1.1]}\nspeed: {off: true}",
        rows_with(f, 4000, 5, 5));
    expect_verdict(f, "calibration", "ece", GATE_PASS);
    expect_verdict(f, "calibration", "brier", GATE_PASS);
    expect_verdict(f, "calibration", "slope", GATE_PASS);
    assert_float_equal(check_of(f, "calibration", "slope")->value, 1, 1e-6);
    /* 1 of 19 wrong: the truth is logit(18/19), the answer logit(0.8): slope 2.0850. */
    run(f, "calibration: {slope: [0.9, 1.1]}\nspeed: {off: true}", rows_with(f, 3800, 19, 19));
    expect_verdict(f, "calibration", "slope", GATE_FAIL);
    assert_float_equal(check_of(f, "calibration", "slope")->value, log(18) / log(4), 1e-5);
}

/* ---- rows that break ---- */

static void rows_that_break_the_contract_are_counted_and_left_out(void **state)
{
    struct gate_fixture *f = *state;
    const char *rows = arena_printf(f->arena, "%s7,0.5,20,r1,f,1\n", rows_with(f, 100, 10, 10));
    run(f, "speed: {off: true}", rows);
    expect_verdict(f, "contract", "rows", GATE_FAIL);
    assert_non_null(strstr(check_of(f, "contract", "rows")->text,
                           "1 of 101 rows break the contract; the first: row 100: field "
                           "'candidate'"));
    assert_int_equal(f->report->data->count, 100);
    run(f, "contract: {rejected_share_max: 0.01}\nspeed: {off: true}", rows);
    expect_verdict(f, "contract", "rows", GATE_PASS);
}

static void a_model_that_answers_nonsense_to_a_bad_row_fails(void **state)
{
    struct gate_fixture *f = *state;
    run(f, "speed: {off: true}", rows_with(f, 100, 10, 10));
    expect_verdict(f, "robustness", "bad rows", GATE_PASS);
    f->models[0].is_broken = true;
    run(f, "speed: {off: true}", rows_with(f, 100, 10, 10));
    expect_verdict(f, "robustness", "bad rows", GATE_FAIL);
    assert_non_null(strstr(check_of(f, "robustness", "bad rows")->text, "'age' missing"));
}

static void an_answer_must_not_hang_on_what_it_must_not(void **state)
{
    struct gate_fixture *f = *state;
    run(f,
        "invariances:\n"
        "- columns: [age, region]\n"
        "- columns: [candidate]\n"
        "- pair: {age: ['30', '40']}\n"
        "- {pair: {candidate: ['0.60', '0.61']}, tolerance: 0.02}\n"
        "- {pair: {candidate: ['0.60', '0.40']}, tolerance: 0.5}\n"
        "speed: {off: true}",
        rows_with(f, 99, 10, 10));
    expect_verdict(f, "invariance", "age, region", GATE_PASS);
    expect_verdict(f, "invariance", "candidate", GATE_FAIL);
    expect_verdict(f, "invariance", "age 30 or 40", GATE_PASS);
    expect_verdict(f, "invariance", "candidate 0.60 or 0.61", GATE_PASS);
    /* within the tolerance, but another class */
    expect_verdict(f, "invariance", "candidate 0.60 or 0.40", GATE_FAIL);
    assert_int_equal(gate_with(f, "invariances: [{columns: [sex]}]", rows_with(f, 50, 10, 10)),
                     ERR_INVALID);
    assert_non_null(strstr(f->err.msg, "'sex', which is no input"));
    assert_int_equal(
        gate_with(f, "invariances: [{pair: {candidate: ['0.5', '7']}}]", rows_with(f, 50, 10, 10)),
        ERR_INVALID);
    assert_non_null(strstr(f->err.msg, "a value that the contract refuses"));
}

/* ---- the record ---- */

static void what_the_record_lacks_fails(void **state)
{
    struct gate_fixture *f = *state;
    f->version.lineage = "{\"code_commit\": \"4f2a91c\", \"license\": \"MIT\"}";
    run(f, "record: [owner, note, license, lineage.code_commit, lineage.run]\nspeed: {off: true}",
        rows_with(f, 100, 10, 10));
    expect_verdict(f, "record", "owner", GATE_PASS);
    expect_verdict(f, "record", "note", GATE_FAIL);
    expect_verdict(f, "record", "license", GATE_PASS);
    expect_verdict(f, "record", "lineage.code_commit", GATE_PASS);
    expect_verdict(f, "record", "lineage.run", GATE_FAIL);
    expect_verdict(f, "golden", "rows", GATE_SKIPPED);
    run(f, "golden: {required: true}\nspeed: {off: true}", rows_with(f, 100, 10, 10));
    expect_verdict(f, "golden", "rows", GATE_FAIL);
}

static void a_pickle_is_found(void **state)
{
    struct gate_fixture *f = *state;
    run(f, "speed: {off: true}", rows_with(f, 100, 10, 10));
    expect_verdict(f, "record", "no pickle", GATE_PASS);
    f->input.artifact = STR_LIT("\x80\x04\x95 a pickle");
    run(f, "speed: {off: true}", rows_with(f, 100, 10, 10));
    expect_verdict(f, "record", "no pickle", GATE_FAIL);
    f->input.artifact = STR_LIT("PK\x03\x04 archive/data.pkl and so on");
    run(f, "speed: {off: true}", rows_with(f, 100, 10, 10));
    expect_verdict(f, "record", "no pickle", GATE_FAIL);
}

/* The contract keeps digests of other rows first, then of the held-out rows themselves. */
static void rows_seen_in_training_are_found(void **state)
{
    struct gate_fixture *f = *state;
    const char *held_out = rows_with(f, 100, 10, 10);
    const char *trained[] = {"candidate,champion,age\n0.11,0.12,70\n0.13,0.14,71\n", held_out};
    for (int i = 0; i < 2; i++) {
        struct buf yaml;
        struct csv *csv = csv_new(str_of(trained[i]), ',');
        buf_init(&yaml, CONTRACT_BYTES_MAX);
        buf_text(&yaml, GATE_CONTRACT);
        assert_int_equal(training_rows_add(csv, f->arena, &yaml, &f->err), ERR_OK);
        csv_free(csv);
        f->input.contract = (struct str){arena_copy(f->arena, yaml.data, yaml.len), yaml.len};
        buf_done(&yaml);
        run(f, "speed: {off: true}", held_out);
        expect_verdict(f, "leakage", "training rows", i ? GATE_FAIL : GATE_PASS);
    }
    f->input.contract = STR_LIT(GATE_CONTRACT);
    run(f, "speed: {off: true}", held_out);
    expect_verdict(f, "leakage", "training rows", GATE_SKIPPED);
    run(f, "leakage: {required: true}\nspeed: {off: true}", held_out);
    expect_verdict(f, "leakage", "training rows", GATE_CANNOT_TELL);
}

/* ---- time ---- */

/* Nine blocks of ten: the candidate takes twice as long throughout; one block is disturbed. */
static void a_slower_model_is_told_from_noise(void **state)
{
    (void)state;
    int64_t candidate[90], champion[90];
    for (int i = 0; i < 90; i++) {
        champion[i] = 100000 + i % 10;
        candidate[i] = i < 10 ? 90000000 : 2 * champion[i];
    }
    struct gate_ratio ratio = gate_speed_ratio(candidate, champion, 90, 0.5);
    assert_float_equal(ratio.value, 2, 0.001);
    assert_float_equal(ratio.high, 2, 0.001);
    assert_int_equal(gate_speed_judge(&ratio, 1.5, 50), GATE_FAIL);
    assert_int_equal(gate_speed_judge(&ratio, 2.5, 50), GATE_PASS);
    assert_int_equal(gate_speed_judge(&ratio, 1.5, 300), GATE_PASS); /* below what matters */
    for (int i = 0; i < 90; i++)
        candidate[i] = champion[i] * (i / 10 < 3 ? 2 : 1);
    ratio = gate_speed_ratio(candidate, champion, 90, 0.5);
    assert_int_equal(gate_speed_judge(&ratio, 1.5, 50), GATE_CANNOT_TELL);
    ratio = gate_speed_ratio(candidate, champion, 5, 0.5);
    assert_int_equal(gate_speed_judge(&ratio, 1.5, 50), GATE_CANNOT_TELL);
}

static void a_model_that_is_much_larger_fails(void **state)
{
    struct gate_fixture *f = *state;
    f->version.artifact_bytes = 100 * 1024 * 1024;
    f->input.champion_bytes = 20 * 1024 * 1024;
    run(f, "", rows_with(f, 100, 10, 10));
    expect_verdict(f, "size", "artifact", GATE_FAIL);
    expect_verdict(f, "size", "memory", GATE_PASS);
    expect_verdict(f, "speed", "p50", GATE_PASS); /* far below 50 us */
}

/* ---- files without a word ---- */

static void a_file_that_says_nothing_is_a_gate_too(void **state)
{
    static const char *const files[] = {"", "\n\n", "# floors: {auc: 1}\r\n\t # later\n", "---\n"};
    struct gate_fixture *f = *state;
    const char *rows = rows_with(f, 400, 10, 10);
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        run(f, files[i], rows);
        expect_verdict(f, "contract", "rows", GATE_PASS);
    }
}

/* ---- what bad input gets ---- */

static void expect_refused(struct gate_fixture *f, const char *yaml, const char *csv,
                           const char *message)
{
    assert_int_not_equal(gate_with(f, yaml, csv), ERR_OK);
    if (!strstr(f->err.msg, message))
        fail_msg("%s", f->err.msg);
}

static void bad_files_are_told_with_the_place(void **state)
{
    struct gate_fixture *f = *state;
    const char *rows = rows_with(f, 50, 10, 10);
    expect_refused(f, "floor: {auc: 1}", rows, "floor");
    expect_refused(f, "floors: {aucc: 0.9}", rows, "floors: 'aucc' is no metric");
    expect_refused(f, "champion: {margins: {auc: lots}}", rows,
                   "champion.margins.auc: expected a number or a share such as 5%");
    expect_refused(f, "confidence: 2", rows, "confidence: expected a number from 0.5 to 0.9999");
    expect_refused(f, "calibration: {slope: [1.1, 0.9]}", rows, "calibration.slope");
    expect_refused(f, "fairness: {groups: [sex]}", rows, "fairness: needs groups");
    expect_refused(f, "record: [owners]", rows, "record");
    expect_refused(f, "invariances: [{tolerance: 1}]", rows,
                   "invariances[0]: expected either columns or pair");
    expect_refused(f, "- 1", rows, "expected sections");
}

static void bad_rows_are_told_with_the_place(void **state)
{
    struct gate_fixture *f = *state;
    const char *rows = rows_with(f, 50, 10, 10);
    expect_refused(f, "target: answer", rows, "the rows have no column 'answer' with the truth");
    expect_refused(f, "slices: {columns: [country]}", rows,
                   "no column 'country', which slices names");
    expect_refused(f, "slices: {columns: [truth]}", rows, "which is the truth itself");
    expect_refused(f, "", "champion,truth\n0.5,1\n",
                   "no column for the required field 'candidate'");
    expect_refused(f, "", "candidate,truth\n0.5\n", "line 2: 1 cells, the header has 2");
    expect_refused(f, "", "candidate,truth\n0.5,maybe\n", "row 0: 'maybe' in 'truth' is no class");
    expect_refused(f, "", "candidate,truth\n", "the file has no rows");
    expect_refused(f, "", "candidate,truth,truth\n0.5,1,1\n", "column 'truth' is there twice");
    expect_refused(f,
                   "data_sha256: " /* of other rows */
                   "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
                   rows, "the gate file asks for the rows with SHA-256 0123456789ab");
}

#define CLASSES(first, second)                                                                     \
    GATE_CONTRACT                                                                                  \
    "  - name: answer\n"                                                                           \
    "    logicalType: string\n"                                                                    \
    "    quality: [{metric: invalidValues, arguments: {validValues: [" first ", " second "]}}]\n"  \
    "    customProperties: [{property: slipwayRole, value: prediction}]\n"

/* Named classes are read by name; a champion that has them in another order is not compared. */
static void classes_are_read_by_name(void **state)
{
    struct gate_fixture *f = *state;
    struct contract *ours = contract_of(CLASSES("ends", "goes"));
    struct contract *theirs = contract_of(CLASSES("goes", "ends"));
    static const char rows[] = "candidate,truth\n0.9,goes\n0.1,ends\n0.2,1\n";
    f->candidate.contract = f->champion.contract = ours;
    run(f, "speed: {off: true}", rows);
    assert_float_equal(f->report->candidate[QUALITY_ACCURACY].value, 2.0 / 3, 1e-12);
    f->champion.contract = theirs;
    expect_refused(f, "", rows, "class 0 is 'ends', and of the champion 'goes'");
    contract_free(ours);
    contract_free(theirs);
}

/* Without names they are numbers, or true and false. */
static void classes_without_names_may_be_true_and_false(void **state)
{
    struct gate_fixture *f = *state;
    run(f, "speed: {off: true}", "candidate,truth\n0.9,True\n0.1,false\n0.2,0\n0.3,1\n");
    assert_float_equal(f->report->candidate[QUALITY_ACCURACY].value, 0.75, 1e-12);
}

#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(declared_slices_agree_with_mcnemar_and_holm),
        WITH_FIXTURE(found_slices_agree_with_welch_and_benjamini_hochberg),
        WITH_FIXTURE(gaps_between_groups_agree_with_newcombe),
        WITH_FIXTURE(a_floor_passes_fails_or_cannot_tell),
        WITH_FIXTURE(a_worse_version_fails_against_the_champion),
        WITH_FIXTURE(a_margin_may_be_a_share_of_the_champions_value),
        WITH_FIXTURE(without_a_champion_nothing_is_compared),
        WITH_FIXTURE(too_few_rows_never_pass),
        WITH_FIXTURE(numbers_are_measured_as_numbers),
        WITH_FIXTURE(calibration_is_judged_when_the_file_asks),
        WITH_FIXTURE(rows_that_break_the_contract_are_counted_and_left_out),
        WITH_FIXTURE(a_model_that_answers_nonsense_to_a_bad_row_fails),
        WITH_FIXTURE(an_answer_must_not_hang_on_what_it_must_not),
        WITH_FIXTURE(what_the_record_lacks_fails),
        WITH_FIXTURE(a_pickle_is_found),
        WITH_FIXTURE(rows_seen_in_training_are_found),
        WITH_FIXTURE(a_slower_model_is_told_from_noise),
        WITH_FIXTURE(a_model_that_is_much_larger_fails),
        WITH_FIXTURE(a_file_that_says_nothing_is_a_gate_too),
        WITH_FIXTURE(bad_files_are_told_with_the_place),
        WITH_FIXTURE(bad_rows_are_told_with_the_place),
        WITH_FIXTURE(classes_are_read_by_name),
        WITH_FIXTURE(classes_without_names_may_be_true_and_false),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
