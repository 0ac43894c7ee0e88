/* test_drift_vectors.c - every statistic against published vectors made with scipy and numpy.
 *
 * The file is not part of the repository; without it this test says so and is skipped. A case of
 * the file is either checked here or listed in `elsewhere` with where it belongs: a new one fails.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/file.h"
#include "base/json.h"
#include "monitor/binning.h"
#include "monitor/calibration.h"
#include "monitor/contingency.h"
#include "monitor/drift.h"
#include "monitor/label_noise.h"
#include "monitor/multiple.h"
#include "monitor/outlier.h"
#include "monitor/sample.h"
#include "monitor/sequential.h"
#include "monitor/sketch_bound.h"
#include "monitor/special.h"
#include "test.h"

static const char PATH[] = "../shared/data/drift_vectors.json";

enum { VALUES_MAX = 64 };

static struct arena *arena;
static yyjson_val *data;      /* the named samples of the file */
static const char *case_name; /* of the case that runs, for messages */
static double rel_tol;        /* its tolerance */
static yyjson_val *in, *want; /* its inputs and what is expected */
static double x[VALUES_MAX], y[VALUES_MAX], out[VALUES_MAX];
static int n, m;

/* An array of numbers, of arrays (flattened), or the name of one in `data`. Returns its length. */
static int flatten(yyjson_val *value, double *to, int count)
{
    size_t i, size;
    yyjson_val *item;
    if (yyjson_is_str(value))
        return flatten(yyjson_obj_get(data, yyjson_get_str(value)), to, count);
    if (yyjson_is_num(value)) {
        assert_true(count < VALUES_MAX);
        to[count] = yyjson_get_num(value);
        return count + 1;
    }
    assert_true(yyjson_is_arr(value));
    yyjson_arr_foreach(value, i, size, item) count = flatten(item, to, count);
    return count;
}

static int inputs(const char *key, double *to)
{
    return flatten(yyjson_obj_get(in, key), to, 0);
}

static double input(const char *key)
{
    double value[VALUES_MAX];
    assert_int_equal(inputs(key, value), 1);
    return value[0];
}

/* Both samples, sorted. */
static void sort_samples(void)
{
    n = (int)sample_sort(x, inputs("x", x));
    m = (int)sample_sort(y, inputs("y", y));
}

static void near(const char *key, int i, double got, double expected)
{
    if (!(fabs(got - expected) <= rel_tol * fabs(expected) + 1e-15))
        fail_msg("%s: %s[%d]: got %.17g, expected %.17g", case_name, key, i, got, expected);
}

static void expect_all(const char *key, const double *got, int count)
{
    double expected[VALUES_MAX];
    assert_int_equal(flatten(yyjson_obj_get(want, key), expected, 0), count);
    for (int i = 0; i < count; i++)
        near(key, i, got[i], expected[i]);
}

static void expect(const char *key, double got)
{
    expect_all(key, &got, 1);
}

/* ---- two samples ---- */

static void ks_2samp(void)
{
    sort_samples();
    struct ks ks = sample_ks(x, n, y, m);
    double en = (double)n * m / (n + m), root = sqrt(en);
    expect("D", ks.distance);
    expect("location", ks.location);
    expect("sign", ks.sign);
    expect("p_exact", sample_ks_p_exact(ks.distance, n, m));
    expect("p_asymp_scipy", sample_ks_p_one(ks.distance, (int64_t)round(en)));
    expect("p_kstwo_sf_round_en", sample_ks_p_one(ks.distance, (int64_t)round(en)));
    expect("p_numerical_recipes", sample_ks_p(ks.distance, n, m));
    expect("lambda_numerical_recipes", (root + 0.12 + 0.11 / root) * ks.distance);
    expect("p_kstwobign_sqrt_en_D", kolmogorov_sf(root * ks.distance));
}

static void kolmogorov(void)
{
    n = inputs("lambda", x);
    for (int i = 0; i < n; i++)
        out[i] = kolmogorov_sf(x[i]);
    expect_all("Q", out, n);
}

static void wasserstein(void)
{
    sort_samples();
    double w = sample_wasserstein(x, n, y, m), std = sample_std(x, n), iqr = sample_iqr(x, n);
    expect("W1", w);
    expect("std_ref_population", std);
    expect("W1_normed_evidently", w / fmax(std, 0.001));
    expect("iqr_ref_numpy_linear", iqr);
    expect("W1_over_iqr", w / iqr);
    expect("W1_minmax_scaled_deepchecks", w / (fmax(x[n - 1], y[m - 1]) - fmin(x[0], y[0])));
}

static void energy_distance(void)
{
    sort_samples();
    expect("energy", sample_energy(x, n, y, m));
}

static void mann_whitney(void)
{
    sort_samples();
    struct mann_whitney test = sample_mann_whitney(x, n, y, m);
    expect("U_for_x", test.u);
    expect("p_asymptotic_continuity", test.p);
    expect("AUC_P(B>A)+0.5P(B=A)", test.auc);
}

static void cramer_von_mises(void)
{
    sort_samples();
    struct cramer_von_mises test = sample_cramer_von_mises(x, n, y, m);
    expect("T", test.t);
    expect("p_asymptotic", test.p);
}

static void mmd(void)
{
    n = inputs("X", x) / 2;
    m = inputs("Y", y) / 2;
    struct mmd got = sample_mmd(x, n, y, m, 2, input("sigma"));
    expect("mmd2_unbiased", got.unbiased);
    expect("mmd2_biased", got.biased);
}

/* ---- bin counts ---- */

static void categorical_distances(void)
{
    n = inputs("ref", x);
    inputs("cur", y);
    expect("PSI", drift_psi_nats_floored(x, y, n, 1e-9));
    expect("KL_ref_cur", drift_kl_nats(x, y, n));
    expect("KL_cur_ref", drift_kl_nats(y, x, n));
    expect("JS_distance_natural (Evidently)", drift_js_distance_natural(x, y, n));
    expect("JS_distance_base2 (NannyML)", drift_js_distance_base2(x, y, n));
    expect("JS_divergence_base2 (TFDV)", drift_js_divergence_base2(x, y, n));
    expect("Hellinger", drift_hellinger(x, y, n));
    expect("Linf (TFDV infinity_norm, NannyML)", drift_l_infinity(x, y, n));
    expect("TVD", drift_total_variation(x, y, n));
    expect("normalized_abs_difference (TFDV)", drift_normalized_abs_difference(x, y, n));
}

static void psi_zero_handling(void)
{
    n = inputs("ref", x);
    inputs("cur", y);
    expect("evidently_replace_zero_with_1e-4", drift_psi_nats_floored(x, y, n, 1e-4));
    expect("deepchecks_floor_0.01", drift_psi_nats_floored(x, y, n, 0.01));
    expect("slipway_jeffreys_plus_half", drift_psi_nats(x, y, n));
}

static void js_with_zeros(void)
{
    n = inputs("ref", x);
    inputs("cur", y);
    expect("JS_distance_natural", drift_js_distance_natural(x, y, n));
    expect("JS_distance_base2", drift_js_distance_base2(x, y, n));
    expect("Hellinger", drift_hellinger(x, y, n));
    expect("TVD", drift_total_variation(x, y, n));
    expect("Linf", drift_l_infinity(x, y, n));
}

static void psi_critical_value(void)
{
    int bins = (int)input("B");
    double rows = input("n"), live = input("m");
    expect("mean_under_H0", drift_psi_chance(bins, rows, live));
    expect("critical", drift_psi_critical(bins, rows, live, input("alpha")));
}

static void psi_quantile_bins(void)
{
    double base[VALUES_MAX], live[VALUES_MAX];
    sort_samples();
    int edges = binning_quantile_edges(x, n, (int)input("bins"), out);
    expect_all("inner_edges", out, edges);
    binning_count(x, n, out, edges, base);
    binning_count(y, m, out, edges, live);
    expect_all("counts_ref", base, edges + 1);
    expect_all("counts_cur", live, edges + 1);
    expect("PSI_plus_half", drift_psi_nats(base, live, edges + 1));
}

static void scale(double *counts, int count, double by)
{
    for (int i = 0; i < count; i++)
        counts[i] /= by;
}

static void psi_evidently_sturges(void)
{
    double base[VALUES_MAX], live[VALUES_MAX];
    sort_samples();
    double low = fmin(x[0], y[0]), high = fmax(x[n - 1], y[m - 1]);
    int bins = binning_sturges(n + m);
    binning_equal_edges(low, high, bins, out);
    expect_all("edges", out, bins + 1);
    binning_count_equal(x, n, out, bins, base);
    binning_count_equal(y, m, out, bins, live);
    expect("PSI", drift_psi_nats_floored(base, live, bins, 1e-4));
    expect("JS_distance_natural", drift_js_distance_natural(base, live, bins));
    scale(base, bins, n);
    scale(live, bins, m);
    expect_all("ref_share", base, bins);
    expect_all("cur_share", live, bins);
}

static void js_nannyml_doane(void)
{
    double base[VALUES_MAX], live[VALUES_MAX];
    sort_samples();
    int bins = binning_doane(x, n);
    binning_equal_edges(x[0], x[n - 1], bins, out);
    expect_all("edges", out, bins + 1);
    binning_count_equal(x, n, out, bins, base);
    binning_count_equal(y, m, out, bins, live);
    expect("JS_distance_base2", drift_js_distance_base2(base, live, bins + 1));
    expect("Hellinger", drift_hellinger(base, live, bins + 1));
    scale(base, bins + 1, n);
    scale(live, bins + 1, m);
    expect_all("ref_share", base, bins + 1);
    expect_all("cur_share (last = outside reference range)", live, bins + 1);
}

/* ---- tables ---- */

static void chi2_two_sample(void)
{
    int columns = inputs("table", x) / 2;
    struct table_test test = table_chi2(x, 2, columns), g = table_g(x, 2, columns);
    struct drift_chi2 drift = drift_chi2(x, x + columns, columns); /* no bin is joined */
    expect("chi2", test.statistic);
    expect("chi2", drift.statistic);
    expect("dof", test.dof);
    expect("dof", drift.dof);
    expect("p", test.p);
    expect("p", drift.p);
    expect("G", g.statistic);
    expect("G_p", g.p);
    expect("cramers_V", table_cramers_v(x, 2, columns));
}

static void chi2_fit(void)
{
    n = inputs("ref", x);
    inputs("cur", y);
    struct table_test test = table_fit(x, y, n);
    expect("chi2", test.statistic);
    expect("dof", test.dof);
    expect("p", test.p);
}

static void chi2_2x2(void)
{
    assert_int_equal(inputs("table", x), 4);
    const int64_t cells[4] = {(int64_t)x[0], (int64_t)x[1], (int64_t)x[2], (int64_t)x[3]};
    expect("chi2_yates (scipy default)", table_chi2_yates(x).statistic);
    expect("p_yates", table_chi2_yates(x).p);
    expect("chi2_plain", table_chi2(x, 2, 2).statistic);
    expect("p_plain", table_chi2(x, 2, 2).p);
    expect("fisher_p_two_sided", table_fisher_p(cells));
}

static void z_test_proportions(void)
{
    struct z_test test = two_proportion_z(input("k1"), input("n1"), input("k2"), input("n2"));
    expect("z", test.z);
    expect("p_two_sided", test.p);
}

static void cramers_v_corrected(void)
{
    int columns = inputs("table", x) / 2;
    expect("V", table_cramers_v_corrected(x, 2, columns));
}

static void chi2_tail(void)
{
    n = inputs("x", x);
    inputs("dof", y);
    for (int i = 0; i < n; i++)
        out[i] = chi2_sf(x[i], y[i]);
    expect_all("sf", out, n);
}

static void chi2_ppf(void)
{
    n = inputs("prob", x);
    for (int i = 0; i < n; i++)
        out[i] = chi2_quantile(x[i], input("dof"));
    expect_all("x", out, n);
}

static void binomial_classifier(void)
{
    int64_t right = (int64_t)input("n_correct"), rows = (int64_t)input("n");
    expect("p_value_greater", binomial_at_least(right, rows, input("p0")));
}

/* ---- many tests, many looks ---- */

static void multiple_testing(void)
{
    n = inputs("p", x);
    double q = input("q");
    expect("BH_rejected", multiple_bh(x, n, q, NULL));
    multiple_bh_adjust(x, n, out);
    expect_all("BH_adjusted", out, n);
    expect("BY_constant", multiple_by_constant(n));
    expect("BY_rejected", multiple_by(x, n, q, NULL));
    expect("bonferroni_rejected", multiple_bonferroni(x, n, q, NULL));
}

static void e_benjamini_hochberg(void)
{
    bool rejected[VALUES_MAX];
    n = inputs("e", x);
    int count = multiple_ebh(x, n, input("alpha"), rejected), found = 0;
    for (int i = 0; i < n; i++)
        if (rejected[i])
            out[found++] = i;
    assert_int_equal(found, count);
    expect_all("rejected_indices", out, found);
}

static void msprt(void)
{
    n = inputs("x", x);
    double sum = 0, smallest = 1;
    for (int i = 0; i < n; i++) {
        sum += x[i] - input("theta0");
        out[i] = exp(sequential_msprt_log(sum, i + 1, input("sigma2"), input("tau2")));
        smallest = fmin(smallest, 1 / out[i]);
        y[i] = smallest;
    }
    expect_all("Lambda_n", out, n);
    expect_all("always_valid_p", y, n);
}

static void mixture_width(void)
{
    n = inputs("n", x);
    for (int i = 0; i < n; i++)
        out[i] = sequential_mixture_width(x[i], input("sigma"), input("tau2"), input("alpha"));
    expect_all("half_width", out, n);
}

static void stitched_width(void)
{
    n = inputs("n", x);
    for (int i = 0; i < n; i++)
        out[i] = sequential_stitched_width(x[i], input("sigma"), input("alpha"));
    expect_all("half_width", out, n);
}

static void dirichlet_log_e(void)
{
    n = inputs("p0", x);
    inputs("counts", y);
    double log_e = sequential_log_e(x, y, n, input("kappa"));
    expect("log_e", log_e);
    expect("e", exp(log_e));
}

static void e_detectors(void)
{
    struct e_detector detector;
    double alarm = log(input("alarm_level_A")), sr_at = -1, cusum_at = -1;
    n = inputs("log_e_per_window", x);
    e_detector_init(&detector);
    for (int i = 0; i < n; i++) {
        e_detector_add(&detector, x[i]);
        out[i] = detector.log_cusum;
        y[i] = detector.log_sr;
        cusum_at = cusum_at < 0 && out[i] >= alarm ? i : cusum_at;
        sr_at = sr_at < 0 && y[i] >= alarm ? i : sr_at;
    }
    expect_all("log_e_cusum", out, n);
    expect_all("log_e_shiryaev_roberts", y, n);
    expect("ln_A", alarm);
    expect("cusum_alarm_index", cusum_at);
    expect("sr_alarm_index", sr_at);
}

static void cusum_two_sided(void)
{
    struct cusum cusum = {0};
    double at = -1;
    n = inputs("z", x);
    for (int i = 0; i < n; i++) {
        bool is_alarm = cusum_add(&cusum, x[i], input("k"), input("h"));
        out[i] = cusum.up;
        y[i] = cusum.down;
        at = at < 0 && is_alarm ? i : at;
    }
    expect_all("C_plus", out, n);
    expect_all("C_minus", y, n);
    expect("alarm_index", at);
}

static void page_hinkley(void)
{
    struct page_hinkley test = {0};
    double at = -1;
    n = inputs("x", x);
    for (int i = 0; i < n; i++) {
        bool is_alarm = page_hinkley_add(&test, x[i], input("delta"), input("lambda"));
        out[i] = test.statistic;
        at = at < 0 && is_alarm ? i : at;
    }
    expect_all("PH", out, n);
    expect("alarm_index", at);
}

static void adwin(void)
{
    double n0 = input("n0"), n1 = input("n1"), delta = input("delta");
    expect("m_harmonic", 1 / (1 / n0 + 1 / n1));
    expect("delta_prime", delta / log(n0 + n1));
    expect("eps_cut", adwin_cut(n0, n1, input("variance"), delta));
}

/* ---- scores, rows, sketches ---- */

static void isotonic_pav(void)
{
    n = inputs("y_sorted_by_score", x);
    calibration_isotonic(x, NULL, n, out);
    expect_all("fitted", out, n);
}

static void ece_equal_count(void)
{
    n = inputs("prob", x);
    inputs("y", y);
    for (int i = 1; i < n; i++) /* by insertion: in order of probability */
        for (int j = i; j > 0 && x[j] < x[j - 1]; j--) {
            double p = x[j], label = y[j];
            x[j] = x[j - 1], y[j] = y[j - 1];
            x[j - 1] = p, y[j - 1] = label;
        }
    expect("ECE", calibration_error(x, y, n, (int)input("bins")));
}

static void cbpe_binary(void)
{
    double answers[VALUES_MAX];
    bool is_positive[VALUES_MAX];
    n = inputs("raw_score_desc", x);
    inputs("calibrated_prob", y);
    inputs("y_pred", answers);
    for (int i = 0; i < n; i++)
        is_positive[i] = answers[i] > 0;
    struct expected_quality q = calibration_expected(x, y, is_positive, n);
    expect("est_TP", q.tp);
    expect("est_FP", q.fp);
    expect("est_FN", q.fn);
    expect("est_TN", q.tn);
    expect("accuracy", q.accuracy);
    expect("precision", q.precision);
    expect("recall", q.recall);
    expect("f1", q.f1);
    expect("roc_auc", q.auc);
}

static void confident_learning(void)
{
    int32_t labels[VALUES_MAX], guess[VALUES_MAX];
    int64_t joint[VALUES_MAX];
    n = inputs("labels", x);
    for (int i = 0; i < n; i++)
        labels[i] = (int32_t)x[i];
    int classes = inputs("pred_probs", y) / n, found = 0;
    int64_t suspects = label_noise_find(labels, y, n, classes, out, joint, guess);
    expect_all("thresholds", out, classes);
    for (int i = 0; i < classes * classes; i++)
        out[i] = (double)joint[i];
    expect_all("confident_joint_counts", out, classes * classes);
    for (int i = 0; i < n; i++)
        if (guess[i] >= 0 && guess[i] != labels[i])
            out[found++] = i;
    assert_int_equal(found, suspects);
    expect_all("off_diagonal_rows", out, found);
}

static void mahalanobis(void)
{
    double mean[VALUES_MAX], p[VALUES_MAX];
    struct err err = {0};
    int d = inputs("mu", mean), rows = inputs("x", x) / d;
    inputs("Sigma", y);
    assert_int_equal(outlier_factor(y, d, y, &err), ERR_OK);
    for (int i = 0; i < rows; i++) {
        out[i] = outlier_mahalanobis2(x + i * d, mean, y, d);
        p[i] = chi2_sf(out[i], d);
    }
    expect_all("d2", out, rows);
    expect_all("p_chi2_2dof", p, rows);
}

static void energy_score(void)
{
    int k = inputs("logits", x) / 2;
    for (int i = 0; i < 2; i++) {
        out[i] = outlier_energy(x + i * k, k, input("T"));
        y[i] = outlier_max_softmax(x + i * k, k);
    }
    expect_all("energy", out, 2);
    expect_all("max_softmax", y, 2);
}

static void feature_squeezing(void)
{
    n = inputs("p_raw", x);
    inputs("p_squeezed", y);
    expect("L1", outlier_l1(x, y, n));
}

static void ddsketch(void)
{
    double gamma = ddsketch_gamma(input("alpha"));
    n = inputs("x", x);
    for (int i = 0; i < n; i++) {
        out[i] = ddsketch_bucket(x[i], gamma);
        y[i] = ddsketch_value((int)out[i], gamma);
    }
    expect("gamma", gamma);
    expect_all("index", out, n);
    expect_all("representative", y, n);
}

static void sketch_error_bounds(void)
{
    yyjson_val *cms = yyjson_obj_get(in, "cms");
    n = inputs("kll_k", x);
    for (int i = 0; i < n; i++) {
        out[i] = kll_rank_error((int)x[i]);
        y[i] = kll_share_error((int)x[i]);
    }
    expect_all("kll_rank_error_single_side_99pct", out, n);
    expect_all("kll_rank_error_double_sided_pmf_99pct", y, n);
    n = inputs("hll_lg_m", x);
    for (int i = 0; i < n; i++)
        out[i] = hll_error((int)x[i]);
    expect_all("hll_rse", out, n);
    expect("cms_width", count_min_width(yyjson_get_num(yyjson_obj_get(cms, "eps"))));
    expect("cms_depth", count_min_depth(yyjson_get_num(yyjson_obj_get(cms, "delta"))));
    expect("dkw_eps_n1000_delta0.01", dkw_error(1000, 0.01));
}

static const struct {
    const char *name;
    void (*check)(void);
} checks[] = {
    {"ks_2samp", ks_2samp},
    {"kolmogorov_sf", kolmogorov},
    {"wasserstein_1", wasserstein},
    {"energy_distance", energy_distance},
    {"mann_whitney_and_auc", mann_whitney},
    {"cramer_von_mises_2samp", cramer_von_mises},
    {"mmd2_rbf", mmd},
    {"categorical_distances", categorical_distances},
    {"psi_zero_handling", psi_zero_handling},
    {"js_with_zeros", js_with_zeros},
    {"psi_critical_value", psi_critical_value},
    {"psi_quantile_bins", psi_quantile_bins},
    {"psi_evidently_sturges", psi_evidently_sturges},
    {"js_nannyml_doane", js_nannyml_doane},
    {"chi2_two_sample", chi2_two_sample},
    {"chi2_gof_reference_as_truth", chi2_fit},
    {"chi2_2x2_yates", chi2_2x2},
    {"z_test_proportions", z_test_proportions},
    {"cramers_v_bias_corrected", cramers_v_corrected},
    {"chi2_sf", chi2_tail},
    {"chi2_ppf", chi2_ppf},
    {"binomial_classifier_drift", binomial_classifier},
    {"multiple_testing", multiple_testing},
    {"e_benjamini_hochberg", e_benjamini_hochberg},
    {"msprt_normal_mixture", msprt},
    {"confidence_sequence_normal_mixture", mixture_width},
    {"confidence_sequence_stitched_subgaussian", stitched_width},
    {"dirichlet_multinomial_log_e", dirichlet_log_e},
    {"e_detector", e_detectors},
    {"cusum_two_sided", cusum_two_sided},
    {"page_hinkley", page_hinkley},
    {"adwin_cut_threshold", adwin},
    {"isotonic_pav", isotonic_pav},
    {"ece_equal_count", ece_equal_count},
    {"cbpe_binary", cbpe_binary},
    {"confident_learning", confident_learning},
    {"mahalanobis", mahalanobis},
    {"energy_score", energy_score},
    {"feature_squeezing_l1", feature_squeezing},
    {"ddsketch_mapping", ddsketch},
    {"sketch_error_bounds", sketch_error_bounds},
};

/* Privacy, federated learning, signing: work to come. */
static const char *const elsewhere[] = {
    "dp_scales",          "discrete_laplace_pmf",       "federated_aggregation",
    "fedadam_first_step", "laplace_granularity_google", "dsse_pae",
    "oms_root_digest",    "audit_hash_chain",
};

static int check_of(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(checks); i++)
        if (strcmp(checks[i].name, name) == 0)
            return (int)i;
    return -1;
}

static bool is_elsewhere(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(elsewhere); i++)
        if (strcmp(elsewhere[i], name) == 0)
            return true;
    return false;
}

static yyjson_val *read_vectors(void)
{
    struct buf text;
    struct err err = {0};
    yyjson_val *root = NULL;
    enum err_code rc = file_read(PATH, 4 * 1024 * 1024, &text, &err);
    if (!rc)
        rc = json_read((struct str){text.data, text.len}, arena, &root, &err);
    buf_done(&text);
    if (rc && rc != ERR_NOT_FOUND)
        fail_msg("%s: %s", PATH, err.msg);
    return root;
}

static void every_case_is_within_its_tolerance(void **state)
{
    (void)state;
    size_t i, size, checked = 0;
    yyjson_val *item, *root = read_vectors();
    if (!root) {
        printf("skipped: %s is not there\n", PATH);
        skip();
    }
    data = yyjson_obj_get(root, "data");
    yyjson_arr_foreach(yyjson_obj_get(root, "cases"), i, size, item)
    {
        case_name = yyjson_get_str(yyjson_obj_get(item, "name"));
        in = yyjson_obj_get(item, "inputs");
        want = yyjson_obj_get(item, "expected");
        rel_tol = yyjson_get_num(yyjson_obj_get(item, "rel_tol"));
        int found = check_of(case_name);
        if (found >= 0)
            checks[found].check();
        else if (!is_elsewhere(case_name))
            fail_msg("case %s is checked nowhere", case_name);
        checked += found >= 0;
    }
    assert_int_equal(checked, ARRAY_LEN(checks));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_is_within_its_tolerance),
    };
    arena = arena_new(64 * 1024 * 1024);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_free(arena);
    return failed;
}
