"""Held-out rows with two models' answers, and what scipy and statsmodels make of them.

    python3 -m venv VENV && VENV/bin/pip install -r tests/golden/quality/requirements.txt
    VENV/bin/python tests/golden/gate/make.py

writes rows.csv and expected.json beside itself. The probabilities of candidate and champion are
columns of the rows, so that the test's models answer with a column. Slices by McNemar's exact test
(scipy's binomtest) with Holm and Benjamini-Hochberg of statsmodels, the gap to the other rows by
scipy's Welch test, gaps between groups by statsmodels' Newcombe interval.
"""

import json
import pathlib

import numpy as np
import scipy.stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import confint_proportions_2indep

HERE = pathlib.Path(__file__).parent
ROWS = 900
ALPHA = 0.05


def make_rows():
    rng = np.random.default_rng(11)
    region = rng.choice(["north", "south", "east", "west"], ROWS, p=[0.4, 0.3, 0.25, 0.05])
    sex = rng.choice(["f", "m"], ROWS)
    age = rng.integers(18, 80, ROWS)
    truth = (rng.random(ROWS) < 0.45).astype(int)

    def answer(error):
        wrong = rng.random(ROWS) < error
        right = np.where(truth == 1, rng.uniform(0.55, 0.99, ROWS), rng.uniform(0.01, 0.45, ROWS))
        return np.round(np.where(wrong, 1 - right, right), 2)

    worse = np.where(region == "south", 0.3, 0.1) + np.where(age > 65, 0.15, 0)
    champion = answer(np.full(ROWS, 0.12))
    candidate = answer(worse)
    favoured = (sex == "m") & (rng.random(ROWS) < 0.35)
    biased = np.where(favoured, np.maximum(candidate, 0.61), candidate)
    return {"candidate": biased, "champion": champion, "age": age, "region": region, "sex": sex,
            "truth": truth}


def mcnemar(worse, better):
    """One-sided: of the rows that one alone got wrong, how many the candidate did."""
    if worse + better == 0:
        return 1.0
    return scipy.stats.binomtest(worse, worse + better, 0.5, alternative="greater").pvalue


def slice_of(name, inside, loss, champion_loss):
    worse = int((inside & (loss > champion_loss)).sum())
    better = int((inside & (loss < champion_loss)).sum())
    welch = scipy.stats.ttest_ind(loss[inside], loss[~inside], equal_var=False,
                                  alternative="greater")
    return {"name": name, "n": int(inside.sum()), "loss": loss[inside].mean(),
            "p": mcnemar(worse, better), "gap_p": welch.pvalue,
            "gap_low": welch.confidence_interval(1 - ALPHA).low}


def quartiles(name, values):
    """(name, rows) of each level, cut at sorted[(n - 1) q / 4]."""
    values = values.astype(np.float32)
    ordered = np.sort(values)
    cuts = []
    for q in (1, 2, 3):
        cut = ordered[(len(values) - 1) * q // 4]
        if cut < ordered[-1] and (not cuts or cut > cuts[-1]):
            cuts.append(cut)
    edges = [-np.inf, *cuts, np.inf]
    for i, (low, high) in enumerate(zip(edges, edges[1:])):
        if i == 0:
            label = f"{name} <= {cuts[0]:.4g}"
        elif i == len(cuts):
            label = f"{name} > {cuts[-1]:.4g}"
        else:
            label = f"{name} in ({low:.4g}, {high:.4g}]"
        yield label, (values > low) & (values <= high)


def fairness(rows, among, column="sex"):
    groups = {}
    for group in np.unique(rows[column]):
        inside = among & (rows[column] == group)
        groups[group] = (int((inside & (rows["candidate"] >= 0.5)).sum()), int(inside.sum()))
    ordered = sorted(groups.values(), key=lambda g: g[0] / g[1])
    (low_hits, low_n), (high_hits, high_n) = ordered[0], ordered[-1]
    low, high = confint_proportions_2indep(high_hits, high_n, low_hits, low_n, compare="diff",
                                           method="newcomb", alpha=ALPHA)
    return {"value": high_hits / high_n - low_hits / low_n, "low": low, "high": high}


def main():
    rows = make_rows()
    loss = ((rows["candidate"] >= 0.5) != rows["truth"]).astype(float)
    champion_loss = ((rows["champion"] >= 0.5) != rows["truth"]).astype(float)
    declared = [slice_of(f"region={r}", rows["region"] == r, loss, champion_loss)
                for r in ("north", "south", "east", "west")]
    for entry, p in zip(declared, multipletests([s["p"] for s in declared], method="holm")[1]):
        entry["adjusted"] = p
    found = [slice_of(label, inside, loss, champion_loss)
             for name in ("candidate", "champion", "age")
             for label, inside in quartiles(name, rows[name])]
    for key in ("p", "gap_p"):
        adjusted = multipletests([s[key] for s in found], method="fdr_bh")[1]
        for entry, p in zip(found, adjusted):
            entry[f"{key}_adjusted"] = p
    everybody = np.ones(ROWS, dtype=bool)
    expected = {"declared": declared, "found": found,
                "fairness": {"selection": fairness(rows, everybody),
                             "true positive": fairness(rows, rows["truth"] == 1),
                             "false positive": fairness(rows, rows["truth"] == 0)}}
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    lines = [",".join(rows)] + [",".join(str(rows[c][i]) for c in rows) for i in range(ROWS)]
    (HERE / "rows.csv").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
