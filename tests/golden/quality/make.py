"""Rows with truth and answers, and what scikit-learn, statsmodels and scipy make of them.

    python3 -m venv VENV && VENV/bin/pip install -r tests/golden/quality/requirements.txt
    VENV/bin/python tests/golden/quality/make.py

writes cases.json beside itself: inputs, and for each metric value, low, high and how far ours may
be away. Values are scikit-learn's. Intervals: Wilson and logistic regression by statsmodels, DeLong
by counting all pairs as its definition says, the bootstrap by scipy with 20,000 resamples of its
own, so that ours may differ by the noise of 1,000: a tenth of the width.
"""

import json
import pathlib
import warnings

import numpy as np
import scipy.stats
import sklearn.metrics as sk
import statsmodels.api as sm
from statsmodels.stats.proportion import proportion_confint

HERE = pathlib.Path(__file__).parent
Z = scipy.stats.norm.ppf(0.975)
EXACT = 1e-9


def wilson(hits, trials):
    return proportion_confint(hits, trials, alpha=0.05, method="wilson")


def entry(value, interval=None, tolerance=EXACT):
    low, high = interval if interval is not None else (None, None)
    return {"value": float(value), "low": None if low is None else float(low),
            "high": None if high is None else float(high), "tolerance": float(tolerance)}


def resampled(value, data, statistic):
    """An entry whose interval is scipy's percentile bootstrap over rows."""
    rows = np.arange(len(data[0]))
    found = scipy.stats.bootstrap((rows,), lambda i: statistic(*(d[i] for d in data)),
                                  vectorized=False, n_resamples=20000, method="percentile",
                                  confidence_level=0.95, random_state=1).confidence_interval
    return entry(value, found, (found.high - found.low) / 10)


def mover(hits, trials):
    shares = hits / trials
    limits = np.array([wilson(h, t) for h, t in zip(hits, trials)])
    k = len(hits)
    return (shares.mean() - np.sqrt(((shares - limits[:, 0]) ** 2).sum()) / k,
            shares.mean() + np.sqrt(((limits[:, 1] - shares) ** 2).sum()) / k)


def placements(truth, score):
    positive, negative = score[truth == 1], score[truth == 0]
    pairs = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    return pairs.mean(axis=1), pairs.mean(axis=0)


def delong(truth, score):
    of_positive, of_negative = placements(truth, score)
    area = of_positive.mean()
    error = np.sqrt(of_positive.var(ddof=1) / len(of_positive) +
                    of_negative.var(ddof=1) / len(of_negative))
    middle, half = np.log(area / (1 - area)), Z * error / (area * (1 - area))
    return 1 / (1 + np.exp(half - middle)), 1 / (1 + np.exp(-half - middle))


def ece(claim, truth, weight=None):
    weight = np.ones(len(claim)) if weight is None else weight
    bins = np.searchsorted(np.arange(1, 10) / 10, claim, side="left")
    gaps = [abs((weight * (claim - truth))[bins == b].sum()) for b in range(10)]
    return sum(gaps) / weight.sum()


def logit(p):
    return np.log(p / (1 - p))


def calibration(truth, p):
    """Slope with its interval, then intercept at slope 1 with its interval."""
    both = sm.GLM(truth, sm.add_constant(logit(p)), family=sm.families.Binomial()).fit(tol=1e-14)
    one = sm.GLM(truth, np.ones(len(p)), family=sm.families.Binomial(),
                 offset=logit(p)).fit(tol=1e-14)
    return ((both.params[1], both.conf_int()[1]), (one.params[0], one.conf_int()[0]))


def binary_rows(rng, count, noise):
    score = rng.normal(0, 1.5, count)
    truth = (rng.random(count) < 1 / (1 + np.exp(-score))).astype(int)
    p = 1 / (1 + np.exp(-(1.4 * score + rng.normal(0, noise, count) - 0.3)))
    return truth, np.round(np.clip(p, 0.01, 0.99), 2)


def binary():
    truth, p = binary_rows(np.random.default_rng(1), 400, 0.8)
    predicted = (p >= 0.5).astype(int)
    hits = np.array([((predicted == k) & (truth == k)).sum() for k in (0, 1)])
    slope, intercept = calibration(truth, p)
    expected = {
        "accuracy": entry(sk.accuracy_score(truth, predicted), wilson(hits.sum(), 400)),
        "balanced_accuracy": entry(sk.balanced_accuracy_score(truth, predicted),
                                   mover(hits, np.array([(truth == 0).sum(), (truth == 1).sum()]))),
        "precision": entry(sk.precision_score(truth, predicted), wilson(hits[1], predicted.sum())),
        "recall": entry(sk.recall_score(truth, predicted), wilson(hits[1], truth.sum())),
        "f1": resampled(sk.f1_score(truth, predicted), (truth, predicted), sk.f1_score),
        "auc": entry(sk.roc_auc_score(truth, p), delong(truth, p)),
        "average_precision": resampled(sk.average_precision_score(truth, p), (truth, p),
                                       sk.average_precision_score),
        "log_loss": resampled(sk.log_loss(truth, p), (truth, p), sk.log_loss),
        "brier": resampled(sk.brier_score_loss(truth, p), (truth, p), sk.brier_score_loss),
        "ece": resampled(ece(p, truth), (p, truth), ece),
        "calibration_slope": entry(slope[0], slope[1], 1e-7),
        "calibration_intercept": entry(intercept[0], intercept[1], 1e-7),
    }
    return {"class_count": 2, "truth": truth.tolist(), "predicted": predicted.tolist(),
            "probability": p.tolist(), "expected": expected}


def weighted():
    rng = np.random.default_rng(2)
    truth, p = binary_rows(rng, 300, 0.5)
    w = np.round(rng.exponential(2, 300), 2)
    w[::17] = 0
    predicted = (p >= 0.5).astype(int)
    kw = {"sample_weight": w}
    expected = {
        "accuracy": sk.accuracy_score(truth, predicted, **kw),
        "balanced_accuracy": sk.balanced_accuracy_score(truth, predicted, **kw),
        "precision": sk.precision_score(truth, predicted, **kw),
        "recall": sk.recall_score(truth, predicted, **kw),
        "f1": sk.f1_score(truth, predicted, **kw),
        "auc": sk.roc_auc_score(truth, p, **kw),
        "average_precision": sk.average_precision_score(truth, p, **kw),
        "log_loss": sk.log_loss(truth, p, **kw),
        "brier": sk.brier_score_loss(truth, p, **kw),
        "ece": ece(p, truth, w),
    }
    return {"class_count": 2, "truth": truth.tolist(), "predicted": predicted.tolist(),
            "probability": p.tolist(), "weight": w.tolist(),
            "expected": {name: entry(value) for name, value in expected.items()}}


def several():
    rng = np.random.default_rng(3)
    truth = rng.choice(4, 250, p=[0.4, 0.3, 0.2, 0.1])
    raw = rng.gamma(1, 1, (250, 4)) + 2 * (np.arange(4) == truth[:, None]) * rng.random((250, 1))
    p = raw / raw.sum(axis=1, keepdims=True)
    predicted = p.argmax(axis=1)
    onehot = np.eye(4)[truth]
    macro = {"average": "macro", "zero_division": 0}

    def f1(t, g):
        return sk.f1_score(t, g, **macro)

    expected = {
        "accuracy": entry(sk.accuracy_score(truth, predicted),
                          wilson((truth == predicted).sum(), 250)),
        "balanced_accuracy": entry(sk.balanced_accuracy_score(truth, predicted)),
        "precision": entry(sk.precision_score(truth, predicted, **macro)),
        "recall": entry(sk.recall_score(truth, predicted, **macro)),
        "f1": resampled(f1(truth, predicted), (truth, predicted), f1),
        "auc": entry(sk.roc_auc_score(truth, p, multi_class="ovr", average="macro")),
        "average_precision": entry(sk.average_precision_score(onehot, p, average="macro")),
        "log_loss": entry(sk.log_loss(truth, p)),
        "brier": entry(((p - onehot) ** 2).sum(axis=1).mean()),
        "ece": entry(ece(p.max(axis=1), truth == predicted)),
    }
    return {"class_count": 4, "truth": truth.tolist(), "predicted": predicted.tolist(),
            "probability": p.ravel().tolist(), "expected": expected}


def numbers():
    rng = np.random.default_rng(4)
    truth = np.round(rng.normal(20, 9, 300), 1)
    truth[:7] = 0
    answer = np.round(truth * 0.95 + rng.standard_t(4, 300) * 3, 2)
    some = truth != 0

    def rmse(t, f):
        return sk.root_mean_squared_error(t, f)

    expected = {
        "mae": resampled(sk.mean_absolute_error(truth, answer), (truth, answer),
                         sk.mean_absolute_error),
        "rmse": resampled(rmse(truth, answer), (truth, answer), rmse),
        "r2": resampled(sk.r2_score(truth, answer), (truth, answer), sk.r2_score),
        "mape": resampled(sk.mean_absolute_percentage_error(truth[some], answer[some]),
                          (truth[some], answer[some]), sk.mean_absolute_percentage_error),
    }
    return {"class_count": 0, "truth_number": truth.tolist(), "predicted_number": answer.tolist(),
            "expected": expected}


def ranking():
    rng = np.random.default_rng(5)
    group = rng.integers(0, 40, 500) * 7 - 90
    relevance = rng.choice(4, 500, p=[0.6, 0.2, 0.15, 0.05]).astype(float)
    relevance[group == group[0]] = 0
    score = np.round(relevance * 0.5 + rng.normal(0, 1, 500), 1)
    ndcg, precision = [], []
    for g in np.unique(group):
        rel, s = relevance[group == g], score[group == g]
        if rel.max() > 0:
            ndcg.append(1.0 if len(rel) == 1 else sk.ndcg_score([2 ** rel - 1], [s], k=10))
            precision.append(sk.average_precision_score(rel > 0, s))
    expected = {"ndcg": resampled(np.mean(ndcg), (np.array(ndcg),), np.mean),
                "map": resampled(np.mean(precision), (np.array(precision),), np.mean)}
    return {"class_count": 0, "group": group.tolist(), "truth_number": relevance.tolist(),
            "predicted_number": score.tolist(), "expected": expected}


def newcombe(truth, a, b):
    """Method 10 of Newcombe (1998), from its cells."""
    n = len(truth)
    right_a, right_b = a == truth, b == truth
    e, f = (right_a & right_b).sum(), (right_a & ~right_b).sum()
    g, h = (~right_a & right_b).sum(), (~right_a & ~right_b).sum()
    pa, pb = (e + f) / n, (e + g) / n
    (la, ua), (lb, ub) = wilson(e + f, n), wilson(e + g, n)
    over = e * h - f * g
    margins = float((e + f) * (g + h) * (e + g) * (f + h))
    phi = (max(over - n / 2, 0) if over >= 0 else over) / np.sqrt(margins)
    low = np.sqrt((pa - la) ** 2 - 2 * phi * (pa - la) * (ub - pb) + (ub - pb) ** 2)
    high = np.sqrt((ua - pa) ** 2 - 2 * phi * (ua - pa) * (pb - lb) + (pb - lb) ** 2)
    return pa - pb - low, pa - pb + high


def paired():
    truth, p = binary_rows(np.random.default_rng(6), 350, 0.4)
    q = np.round(np.clip(p + np.random.default_rng(7).normal(0, 0.15, 350), 0.01, 0.99), 2)
    a, b = (p >= 0.5).astype(int), (q >= 0.5).astype(int)
    (pa, na), (pb, nb) = placements(truth, p), placements(truth, q)
    gap = pa.mean() - pb.mean()
    half = Z * np.sqrt((pa - pb).var(ddof=1) / len(pa) + (na - nb).var(ddof=1) / len(na))

    def more_loss(t, x, y):
        return sk.log_loss(t, x) - sk.log_loss(t, y)

    expected = {
        "accuracy": entry((a == truth).mean() - (b == truth).mean(), newcombe(truth, a, b)),
        "auc": entry(gap, (gap - half, gap + half)),
        "log_loss": resampled(more_loss(truth, p, q), (truth, p, q), more_loss),
    }
    return {"class_count": 2, "truth": truth.tolist(), "predicted": a.tolist(),
            "probability": p.tolist(), "expected": expected,
            "other": {"predicted": b.tolist(), "probability": q.tolist()}}


def main():
    warnings.simplefilter("ignore")
    cases = {f.__name__: f() for f in (binary, weighted, several, numbers, ranking, paired)}
    text = json.dumps(cases, separators=(",", ":")).replace('},"', '},\n"')
    (HERE / "cases.json").write_text(text + "\n")


if __name__ == "__main__":
    main()
