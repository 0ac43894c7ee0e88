"""Rows and what numpy makes of them: the reference for inferring a contract.

    python3 tests/golden/contract/make.py

writes rows.csv and expected.json beside itself. Quantiles are numpy's default (linear), bins are
counted on float32 values, AUC is the share of pairs in the right order, counted one by one.
"""

import csv
import json
import math
import pathlib

import numpy as np

HERE = pathlib.Path(__file__).parent
ROWS = 1200


def columns():
    rng = np.random.default_rng(7)
    label = rng.random(ROWS) < 0.3
    size = np.round(rng.normal(20, 4, ROWS), 3)
    price = np.round(rng.lognormal(3, 1, ROWS), 2)
    nights = rng.poisson(3, ROWS) * (rng.random(ROWS) < 0.6)
    signed = np.where(rng.random(ROWS) < 0.4, 0.0, np.round(rng.normal(0, 2, ROWS), 2))
    leak = np.round(label * 3 + rng.normal(0, 0.7, ROWS), 4)
    sensor = np.round(rng.normal(50, 5, ROWS), 1)
    sensor[rng.random(ROWS) < 0.05] = -999
    probe = np.round(rng.uniform(-900, 900, ROWS), 1)
    probe[rng.random(ROWS) < 0.05] = -999
    gauge = np.round(rng.uniform(-990, 900, ROWS), 1)
    gauge[rng.random(ROWS) < 0.02] = -999
    return {
        "id": [f"k{i:05d}" for i in range(ROWS)],
        "number": np.arange(ROWS) + 100,
        "size": size,
        "price": price,
        "nights": nights,
        "signed": signed,
        "leak": leak,
        "sensor": sensor,
        "probe": probe,
        "gauge": gauge,
        "stars": rng.integers(1, 6, ROWS),
        "meal": [["BB", "HB", "NA", "say \"hi\", twice"][i] for i in rng.integers(0, 4, ROWS)],
        "day": [f"2025-{1 + i // 100:02d}-{1 + i % 28:02d}" for i in range(ROWS)],
        "cancelled": np.where(label, "yes", "no"),
    }


def edges_of(values, whole):
    edges = list(np.unique(np.quantile(values, np.arange(1, 10) / 10).astype(np.float64)))
    for v in list(edges):
        if v > values.min() and np.count_nonzero(values == v) > 0.2 * ROWS:
            below = np.nextafter(np.float32(v), np.float32(-np.inf))
            edges.append(v - 1 if whole else float(below))
    return sorted({np.float32(e) for e in edges})


def outward(x, spread, up):
    step = 10.0 ** (math.floor(math.log10(spread)) - 2)
    return round((math.ceil if up else math.floor)(x / step) * step, 6)


def auc(values, positive):
    yes, no = values[positive], values[~positive]
    above = sum(np.count_nonzero(v > no) + 0.5 * np.count_nonzero(v == no) for v in yes)
    share = above / (len(yes) * len(no))
    return max(share, 1 - share)


def numeric(values, whole, marker=None):
    kept = values[values != marker] if marker is not None else values
    kept = kept.astype(np.float64)
    edges = edges_of(kept, whole)
    counts = np.bincount(np.searchsorted(edges, kept.astype(np.float32)), minlength=len(edges) + 1)
    low, high, spread = kept.min(), kept.max(), np.ptp(kept)
    low, high = low - spread / 2 if low < 0 else max(0, low - spread / 2), high + spread / 2
    bounds = [outward(low, spread, False), outward(high, spread, True)]
    if whole:  # few values, each in 50 rows or more: a list instead
        bounds = [] if len(set(kept)) <= 20 else [math.ceil(low), math.floor(high)]
    return {
        "edges": [float(e) for e in edges],
        "counts": counts.tolist(),
        "missing": int(ROWS - len(kept)),
        "mean": float(kept.mean()),
        "std": float(kept.std()),
        "bounds": bounds,
    }


def main():
    cols = columns()
    with open(HERE / "rows.csv", "w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(cols)
        writer.writerows(zip(*cols.values()))
    expected = {name: numeric(cols[name], False) for name in ("size", "price", "signed", "leak")}
    expected["nights"] = numeric(cols["nights"], True)
    for name in ("sensor", "probe", "gauge"):
        expected[name] = numeric(cols[name], False, -999)
    expected["auc"] = {"leak": auc(cols["leak"], cols["cancelled"] == "yes")}
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main()
