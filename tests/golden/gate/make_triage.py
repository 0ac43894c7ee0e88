"""The example's cases, all of them, and a version that was trained on wrong labels.

    build/venv-triage/bin/python tests/golden/gate/make_triage.py

writes beside itself cases.csv, the cases that examples/triage/train.py splits, with a column `set`
that says which part each is in, and worse.json: 20 trees trained on labels of which a third are
wrong.
"""
import pathlib
import sys

import numpy as np
import xgboost
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "examples/triage"))
from train import CLASSES, COMMON, SEED, field_name, write_csv  # noqa: E402


def main():
    data = load_breast_cancer()
    names = [field_name(name) for name in data.feature_names]
    malignant = 1 - data.target
    train_x, test_x, train_y, test_y = train_test_split(
        data.data, malignant, test_size=0.2, random_state=SEED, stratify=malignant)
    rows = [[*map(float, row), CLASSES[label], part]
            for x, y, part in ((train_x, train_y, "train"), (test_x, test_y, "test"))
            for row, label in zip(x, y)]
    write_csv(HERE / "cases.csv", [*names, "diagnosis", "set"], rows)
    wrong = np.random.default_rng(SEED).random(len(train_y)) < 1 / 3
    matrix = xgboost.DMatrix(train_x, label=np.where(wrong, 1 - train_y, train_y),
                             feature_names=names)
    booster = xgboost.train({**COMMON, "max_depth": 4, "eta": 0.3}, matrix, num_boost_round=20)
    booster.save_model(HERE / "worse.json")


if __name__ == "__main__":
    main()
