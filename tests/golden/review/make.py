"""Decisions of several people, and how far scikit-learn and krippendorff say that they agree.

    python3 -m venv VENV && VENV/bin/pip install -r tests/golden/review/requirements.txt
    VENV/bin/python tests/golden/review/make.py

writes agreement.json beside itself: `kappa` has two people's labels and Cohen's kappa; `alpha` and
`alpha_numbers` have decisions with their items (an item's next to one another) and Krippendorff's
alpha, nominal and interval.
"""

import json
import pathlib

import krippendorff
import numpy as np
from sklearn.metrics import cohen_kappa_score

HERE = pathlib.Path(__file__).parent


def kappa_case(rng, items, labels, agree):
    a = rng.integers(0, labels, items)
    b = np.where(rng.random(items) < agree, a, rng.integers(0, labels, items))
    return {"labels": labels, "a": a.tolist(), "b": b.tolist(),
            "kappa": float(cohen_kappa_score(a, b))}


def ratings(rng, items, people, share, draw):
    """[people, items] with NaN where somebody did not decide."""
    table = np.full((people, items), np.nan)
    for item in range(items):
        truth = draw(rng)
        for person in range(people):
            if rng.random() < share:
                table[person, item] = truth if rng.random() < 0.7 else draw(rng)
    return table


def alpha_case(table, level, **more):
    items, values = [], []
    for item in range(table.shape[1]):
        for value in table[~np.isnan(table[:, item]), item]:
            items.append(item)
            values.append(float(value))
    alpha = krippendorff.alpha(reliability_data=table, level_of_measurement=level)
    return {**more, "items": items, "values": values, "alpha": float(alpha)}


def main():
    rng = np.random.default_rng(20260131)
    kappa = [kappa_case(rng, items, labels, agree)
             for items, labels, agree in ((10, 2, 0.8), (200, 2, 0.9), (57, 5, 0.3), (33, 3, 0.0))]
    alpha = [alpha_case(ratings(rng, items, people, share, lambda r: r.integers(0, labels)),
                        "nominal", labels=labels)
             for items, people, share, labels in ((12, 4, 0.6, 4), (100, 2, 1.0, 2),
                                                  (60, 9, 0.3, 3))]
    numbers = [alpha_case(ratings(rng, items, people, share, lambda r: r.normal(100, 15)),
                          "interval") for items, people, share in ((20, 3, 0.7), (50, 5, 0.5))]
    text = json.dumps({"kappa": kappa, "alpha": alpha, "alpha_numbers": numbers})
    (HERE / "agreement.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
