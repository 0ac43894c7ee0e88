"""Trains the two versions of the example and writes everything the server needs to prove them.

    python3 -m venv build/venv-triage
    build/venv-triage/bin/pip install -r examples/triage/requirements.txt
    build/venv-triage/bin/python examples/triage/train.py

Data: the diagnostic breast-cancer cases that scikit-learn carries, 80 % to train with, 20 % held
out, both with the same share of malignant cases. Class 0 is benign, class 1 is malignant, so that a
model's number is the probability of `malignant`. Everything is seeded and runs on one thread: the
same packages write the same bytes.

    model_v1.ubj, model.ubj        20 and 100 trees
    golden_v1.csv, golden.csv      held-out cases with the probability that XGBoost itself gives
    request.json                   a malignant held-out case, by field names
    bad_request.json               the same, with a number written as text with a comma
    build/triage/train.csv         the training rows, from which contract.yaml is inferred
    build/triage/heldout.csv       the held-out rows with the truth
"""
import csv
import json
import pathlib

import numpy as np
import xgboost
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import accuracy_score, roc_auc_score
from sklearn.model_selection import train_test_split

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE.parents[1] / "build/triage"
SEED = 20
GOLDEN_ROWS = 36
CLASSES = ["benign", "malignant"]
COMMON = {"objective": "binary:logistic", "tree_method": "exact", "nthread": 1, "seed": SEED}
VERSIONS = [  # suffix of the files, trees, parameters
    ("_v1", 20, {"max_depth": 3, "eta": 0.3}),
    ("", 100, {"max_depth": 6, "eta": 0.1, "subsample": 0.8, "colsample_bytree": 0.5}),
]


def field_name(name):
    """'mean radius' -> 'mean_radius', 'radius error' -> 'radius_error'."""
    return name.replace(" ", "_")


def write_csv(path, header, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="ascii") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def with_truth(features, truth):
    return [[*map(float, row), CLASSES[label]] for row, label in zip(features, truth)]


def train(suffix, trees, parameters, names, rows):
    """One version: its file, its golden rows, its line of figures. Returns the probabilities."""
    train_x, test_x, train_y, test_y = rows
    matrix = xgboost.DMatrix(train_x, label=train_y, feature_names=names)
    booster = xgboost.train({**COMMON, **parameters}, matrix, num_boost_round=trees)
    booster.save_model(HERE / f"model{suffix}.ubj")
    probability = booster.predict(xgboost.DMatrix(test_x, feature_names=names))
    golden = [[*map(float, row), format(float(p), ".9g")]
              for row, p in zip(test_x[:GOLDEN_ROWS], probability)]
    write_csv(HERE / f"golden{suffix}.csv", [*names, "score"], golden)
    print(f"model{suffix}.ubj: {trees} trees, {len(test_y)} held-out cases, accuracy "
          f"{accuracy_score(test_y, probability >= 0.5):.3f}, "
          f"AUC {roc_auc_score(test_y, probability):.3f}")
    return probability


def write_requests(names, features, truth, probability):
    """The clearest malignant case, and the same as a spreadsheet with decimal commas has it."""
    best = int(np.argmax(np.where(truth == 1, probability, 0)))
    row = dict(zip(names, map(float, features[best])))
    bad = {**row, "mean_radius": str(row["mean_radius"]).replace(".", ",")}
    for name, body in (("request.json", row), ("bad_request.json", bad)):
        (HERE / name).write_text(json.dumps(body, indent=1) + "\n", encoding="ascii")


def main():
    data = load_breast_cancer()
    names = [field_name(name) for name in data.feature_names]
    malignant = 1 - data.target  # scikit-learn has 0 for malignant
    rows = train_test_split(data.data, malignant, test_size=0.2, random_state=SEED,
                            stratify=malignant)
    train_x, test_x, train_y, test_y = rows
    write_csv(BUILD / "train.csv", [*names, "diagnosis"], with_truth(train_x, train_y))
    write_csv(BUILD / "heldout.csv", [*names, "diagnosis"], with_truth(test_x, test_y))
    print(f"{len(train_y)} training cases ({train_y.sum()} malignant)")
    for suffix, trees, parameters in VERSIONS:
        probability = train(suffix, trees, parameters, names, rows)
    write_requests(names, test_x, test_y, probability)


if __name__ == "__main__":
    main()
