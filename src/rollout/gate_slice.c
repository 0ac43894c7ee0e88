/* gate_slice.c - is the candidate worse than the champion anywhere, and where is it weakest?
 *
 * Declared slices (segments of the contract and columns of the file): one test each that the
 * candidate loses more there than the champion, corrected by Holm, so that the chance of blaming
 * any slice wrongly stays below alpha. Found slices (every feature cut into levels): the same with
 * Benjamini-Hochberg at 5 %, because there are many and most are looked at by chance.
 *
 *     classes, no margin   McNemar's exact test: of the rows that only one got wrong, those that
 *                          only the candidate did, against a fair coin
 *     else                 paired t: (mean of differences - margin) / standard error
 *
 * How a slice stands to the other rows is Welch's t of the losses, one-sided.
 *
 * Sources: S. Holm (1979); Y. Benjamini, Y. Hochberg (1995); Q. McNemar (1947); B. L. Welch (1947).
 */
#include "rollout/gate_slice.h"

#include <math.h>
#include <stdlib.h>

#include "monitor/multiple.h"
#include "monitor/special.h"

enum { SLICES_MAX = 20000 };
static const double found_share = 0.05; /* of false ones among the found slices */

struct slice {
    const char *name;
    struct gate_sums sums;
    double p, adjusted; /* of being worse than the champion; NaN: not tested */
    double gap, gap_low, gap_p, gap_adjusted; /* to the other rows */
};

struct slices {
    int count;
    struct slice *list; /* [count] in the arena */
};

/* ---- tests ---- */

static double t_above(double mean, double squares, int64_t n, double limit)
{
    double count = (double)n, variance = (squares - count * mean * mean) / (count - 1);
    double error = sqrt(fmax(variance, 0) / count);
    if (n < 2)
        return NAN;
    if (error == 0)
        return mean > limit ? 0 : 1;
    return student_sf((mean - limit) / error, count - 1);
}

static double worse_p(const struct gate_run *run, const struct gate_sums *s)
{
    if (run->data.class_count && run->file->slice_margin == 0)
        return binomial_at_least(s->only_candidate_wrong,
                                 s->only_candidate_wrong + s->only_champion_wrong, 0.5);
    return t_above(s->more / (double)s->n, s->more_squares, s->n, run->file->slice_margin);
}

static double variance_of(double sum, double squares, double n)
{
    return n > 1 ? fmax((squares - sum * sum / n) / (n - 1), 0) : NAN;
}

/* Welch: the slice against all other rows. */
static void compare_with_rest(const struct gate_run *run, const struct gate_sums *all,
                              struct slice *slice)
{
    const struct gate_sums *s = &slice->sums;
    double n = (double)s->n, m = (double)(all->n - s->n);
    slice->gap = slice->gap_low = slice->gap_p = NAN;
    if (n < 2 || m < 2)
        return;
    double vn = variance_of(s->loss, s->loss_squares, n) / n;
    double vm = variance_of(all->loss - s->loss, all->loss_squares - s->loss_squares, m) / m;
    double error = sqrt(vn + vm);
    slice->gap = s->loss / n - (all->loss - s->loss) / m;
    if (error == 0) {
        slice->gap_low = slice->gap;
        slice->gap_p = slice->gap > 0 ? 0 : 1;
        return;
    }
    double dof = (vn + vm) * (vn + vm) / (vn * vn / (n - 1) + vm * vm / (m - 1));
    slice->gap_p = student_sf(slice->gap / error, dof);
    slice->gap_low = slice->gap - student_quantile(1 - run->file->alpha, dof) * error;
}

static struct gate_sums sum_all(const struct gate_run *run)
{
    struct gate_levels whole = {.count = 1};
    struct gate_sums sums[GATE_LEVELS_MAX + 1];
    whole.of = calloc((size_t)run->data.count + 1, sizeof(*whole.of));
    if (!whole.of)
        abort();
    gate_sum_levels(run, &whole, sums);
    free(whole.of);
    return sums[0];
}

static enum err_code add_levels(struct gate_run *run, const struct gate_levels *levels,
                                const struct gate_sums *all, int64_t rows_min,
                                struct slices *slices, struct err *err)
{
    struct gate_sums sums[GATE_LEVELS_MAX + 1];
    gate_sum_levels(run, levels, sums);
    for (int k = 0; k < levels->count && slices->count < SLICES_MAX; k++) {
        slices->list =
            store_list_grow(run->arena, slices->list, slices->count, sizeof(*slices->list));
        if (!slices->list)
            return err_set(err, ERR_LIMIT, "no room for the slices");
        struct slice *slice = &slices->list[slices->count++];
        *slice = (struct slice){.name = levels->names[k], .sums = sums[k], .p = NAN};
        bool is_tested = sums[k].n >= rows_min;
        if (is_tested && run->data.champion.loaded)
            slice->p = worse_p(run, &slice->sums);
        compare_with_rest(run, all, slice);
        if (!is_tested)
            slice->gap_p = NAN;
    }
    return ERR_OK;
}

/* Smallest alpha at which Holm would reject each; NaN stays NaN. */
static void holm_adjust(struct slice *list, int count)
{
    int tested = 0, done = 0;
    double highest = 0;
    for (int i = 0; i < count; i++) {
        list[i].adjusted = NAN;
        tested += !isnan(list[i].p);
    }
    for (; done < tested; done++) {
        int least = -1;
        for (int i = 0; i < count; i++)
            if (!isnan(list[i].p) && isnan(list[i].adjusted) &&
                (least < 0 || list[i].p < list[least].p))
                least = i;
        highest = fmax(highest, fmin(1, list[least].p * (tested - done)));
        list[least].adjusted = highest;
    }
}

static enum err_code bh_adjust(struct gate_run *run, struct slices *slices, struct err *err)
{
    size_t count = (size_t)slices->count;
    double *p = arena_calloc(run->arena, count, sizeof(*p));
    double *adjusted = arena_calloc(run->arena, count, sizeof(*adjusted));
    if (!p || !adjusted)
        return err_set(err, ERR_LIMIT, "no room for the slices");
    for (size_t i = 0; i < count; i++)
        p[i] = slices->list[i].p;
    multiple_bh_adjust(p, slices->count, adjusted);
    for (size_t i = 0; i < count; i++) {
        slices->list[i].adjusted = adjusted[i];
        p[i] = slices->list[i].gap_p;
    }
    multiple_bh_adjust(p, slices->count, adjusted);
    for (size_t i = 0; i < count; i++)
        slices->list[i].gap_adjusted = adjusted[i];
    return ERR_OK;
}

/* ---- what is said ---- */

static const char *loss_name(const struct gate_run *run)
{
    return run->data.class_count ? "wrong" : "mean error";
}

static void fill(struct gate_run *run, struct gate_check *check, const struct slice *slice)
{
    double n = (double)slice->sums.n;
    check->n = slice->sums.n;
    check->value = slice->sums.more / n;
    check->limit = run->file->slice_margin;
    check->p = slice->adjusted;
    gate_say(run, check, "%s %s, champion %s, n %lld, p %s after correction", loss_name(run),
             gate_number(run, slice->sums.loss / n),
             gate_number(run, slice->sums.champion_loss / n), (long long)slice->sums.n,
             gate_number(run, slice->adjusted));
}

static void say_gap(struct gate_run *run, struct gate_check *check, const struct slice *slice)
{
    check->n = slice->sums.n;
    check->value = slice->gap;
    check->low = slice->gap_low;
    check->limit = run->file->slice_gap_max;
    check->p = slice->gap_adjusted;
    check->verdict = GATE_FAIL;
    gate_say(run, check,
             "%s %s, %s more than the other rows (at least %s), n %lld: at most %s more",
             loss_name(run), gate_number(run, slice->sums.loss / (double)slice->sums.n),
             gate_number(run, slice->gap), gate_number(run, slice->gap_low),
             (long long)slice->sums.n, gate_number(run, run->file->slice_gap_max));
}

static bool breaks_gap(const struct gate_run *run, const struct slice *slice)
{
    return slice->gap_low > run->file->slice_gap_max && slice->gap_adjusted <= found_share;
}

/* ---- declared ---- */

static bool is_declared(const struct gate_run *run, const char *name)
{
    const struct contract *contract = run->data.candidate.rows.contract;
    const struct contract_field *field = contract_field_find(contract, str_of(name));
    for (int i = 0; i < run->file->slices.count; i++)
        if (strcmp(run->file->slices.names[i], name) == 0)
            return true;
    return field && field->role == ROLE_SEGMENT;
}

static void judge_declared(struct gate_run *run, const struct slice *slice)
{
    struct gate_check *check = gate_add(run, "slice", slice->name);
    if (slice->sums.n < run->file->slice_rows_min) {
        check->n = slice->sums.n;
        gate_say(run, check, "%lld rows, %lld are needed", (long long)slice->sums.n,
                 (long long)run->file->slice_rows_min);
        return;
    }
    if (breaks_gap(run, slice)) {
        say_gap(run, check, slice);
        return;
    }
    if (!run->data.champion.loaded) {
        check->n = slice->sums.n;
        gate_say(run, check, "%s %s, n %lld; no champion to compare with", loss_name(run),
                 gate_number(run, slice->sums.loss / (double)slice->sums.n),
                 (long long)slice->sums.n);
        if (!isnan(run->file->slice_gap_max))
            check->verdict = GATE_PASS;
        return;
    }
    fill(run, check, slice);
    check->verdict = slice->adjusted < run->file->alpha ? GATE_FAIL : GATE_PASS;
}

enum err_code gate_slices(struct gate_run *run, struct err *err)
{
    struct slices slices = {0};
    struct gate_sums all = sum_all(run);
    enum err_code rc = ERR_OK;
    for (int c = 0; !rc && c < run->data.column_count; c++) {
        struct gate_levels levels;
        if (!is_declared(run, run->data.columns[c].name))
            continue;
        rc = gate_levels_of_texts(run, &run->data.columns[c], &levels, err);
        if (!rc)
            rc = add_levels(run, &levels, &all, run->file->slice_rows_min, &slices, err);
    }
    if (!rc)
        rc = bh_adjust(run, &slices, err);
    if (rc)
        return rc;
    holm_adjust(slices.list, slices.count);
    for (int i = 0; i < slices.count; i++)
        judge_declared(run, &slices.list[i]);
    return ERR_OK;
}

/* ---- found ---- */

static int by_gap(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;
    double low_x = isnan(x->gap_low) || isnan(x->gap_p) ? -INFINITY : x->gap_low;
    double low_y = isnan(y->gap_low) || isnan(y->gap_p) ? -INFINITY : y->gap_low;
    return (low_x < low_y) - (low_x > low_y);
}

static void keep_worst(struct gate_run *run, const struct slices *slices,
                       const struct gate_sums *all)
{
    struct gate_report *report = run->report;
    for (int i = 0; i < slices->count && report->worst_count < GATE_WORST_MAX; i++) {
        const struct slice *s = &slices->list[i];
        if (isnan(s->gap_p) || s->gap <= 0)
            break;
        report->worst[report->worst_count++] = (struct gate_slice){
            .name = s->name,
            .n = s->sums.n,
            .loss = s->sums.loss / (double)s->sums.n,
            .rest_loss = (all->loss - s->sums.loss) / (double)(all->n - s->sums.n),
            .low = s->gap_low,
            .p = s->gap_adjusted,
        };
    }
}

static void judge_found(struct gate_run *run, const struct slices *slices)
{
    int tested = 0, blamed = 0;
    for (int i = 0; i < slices->count; i++) {
        const struct slice *s = &slices->list[i];
        tested += !isnan(s->gap_p);
        bool is_worse = s->adjusted <= found_share && s->sums.more > 0;
        if (!is_worse && !breaks_gap(run, s))
            continue;
        struct gate_check *check = gate_add(run, "worst", s->name);
        blamed++;
        if (!is_worse) {
            say_gap(run, check, s);
            continue;
        }
        fill(run, check, s);
        check->verdict = GATE_FAIL;
    }
    if (blamed)
        return;
    struct gate_check *check = gate_add(run, "worst", "slices");
    bool is_judged = run->data.champion.loaded || !isnan(run->file->slice_gap_max);
    check->n = run->data.count;
    if (tested && is_judged)
        check->verdict = GATE_PASS;
    if (tested)
        gate_say(run, check, "%d slices of features looked at, none worse%s", tested,
                 is_judged ? "" : " is judged without a champion or gap_max");
    else
        gate_say(run, check, "no slice of a feature has %lld rows",
                 (long long)run->file->auto_rows_min);
}

enum err_code gate_worst(struct gate_run *run, struct err *err)
{
    const struct contract *contract = run->data.candidate.rows.contract;
    struct slices slices = {0};
    struct gate_sums all = sum_all(run);
    enum err_code rc = ERR_OK;
    if (!run->file->is_auto)
        return ERR_OK;
    for (int i = 0; !rc && i < contract->feature_count; i++) {
        struct gate_levels levels;
        rc = gate_levels_of_feature(run, contract->feature_columns[i], &levels, err);
        if (!rc)
            rc = add_levels(run, &levels, &all, run->file->auto_rows_min, &slices, err);
    }
    if (!rc)
        rc = bh_adjust(run, &slices, err);
    if (rc)
        return rc;
    if (slices.count)
        qsort(slices.list, (size_t)slices.count, sizeof(*slices.list), by_gap);
    keep_worst(run, &slices, &all);
    judge_found(run, &slices);
    return ERR_OK;
}
