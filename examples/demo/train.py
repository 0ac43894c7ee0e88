"""Makes what the demo needs besides examples/triage: cases with their truth, and a bad version.

    build/venv-triage/bin/python examples/demo/train.py

Data: the diagnostic breast-cancer cases that scikit-learn carries (Wolberg, Mangasarian, Street and
Street 1993, UCI Machine Learning Repository, CC BY 4.0), as in examples/triage/train.py, which this
builds on. Seeded and on one thread: the same packages write the same bytes.

    cases.csv              all 569 cases by made-up case numbers, in random order: the traffic
    truth.csv              the diagnosis of each, as feedback by key and label
    heldout.csv            the 114 cases no version was trained with, with their diagnosis
    heldout_cm.csv         the same as the author of the bug has them
    model_cm.ubj           the bug: trained after somebody read radius and perimeter in centimetres
    build/demo/train.csv, train_cm.csv
                           the training rows, from which contract.yaml and contract_cm.yaml are
                           inferred: slipway contract infer FILE --key case --target diagnosis
                           --classes benign,malignant --name triage --owner lab@example.org
"""
import importlib.util
import pathlib

import numpy as np
import xgboost
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import train_test_split

HERE = pathlib.Path(__file__).resolve().parent
BUILD = HERE.parents[1] / "build/demo"
LENGTHS = ("radius", "perimeter")  # the measurements that are lengths
TREES = 20
PARAMETERS = {"max_depth": 3, "eta": 0.3}


def load_triage():
    """examples/triage/train.py as a module: one place says how the data are read and split."""
    spec = importlib.util.spec_from_file_location("triage", HERE.parent / "triage/train.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def in_centimetres(rows, names):
    scale = np.array([0.1 if any(word in name for word in LENGTHS) else 1.0 for name in names])
    return np.round(rows * scale, 9)


def case_number(index):
    return f"case-{index + 1:04d}"


def main():
    triage = load_triage()
    data = load_breast_cancer()
    names = [triage.field_name(name) for name in data.feature_names]
    malignant = 1 - data.target
    numbers = np.array([case_number(i) for i in range(len(data.data))])
    np.random.default_rng(triage.SEED).shuffle(numbers)
    train_x, test_x, train_y, test_y, train_n, test_n = train_test_split(
        data.data, malignant, numbers, test_size=0.2, random_state=triage.SEED, stratify=malignant)

    def write(path, header, number, rows, truth=None):
        cells = [[n, *map(float, row)] for n, row in zip(number, rows)]
        if truth is not None:
            cells = [[*row, triage.CLASSES[label]] for row, label in zip(cells, truth)]
        triage.write_csv(path, header, cells)

    order = np.argsort(numbers)
    fields, with_truth = ["case", *names], ["case", *names, "diagnosis"]
    write(HERE / "cases.csv", fields, numbers[order], data.data[order])
    triage.write_csv(HERE / "truth.csv", ["key", "label"],
                     [[numbers[i], triage.CLASSES[malignant[i]]] for i in order])
    wrong = in_centimetres(train_x, names)
    write(HERE / "heldout.csv", with_truth, test_n, test_x, test_y)
    write(HERE / "heldout_cm.csv", with_truth, test_n, in_centimetres(test_x, names), test_y)
    write(BUILD / "train.csv", with_truth, train_n, train_x, train_y)
    write(BUILD / "train_cm.csv", with_truth, train_n, wrong, train_y)

    matrix = xgboost.DMatrix(wrong, label=train_y, feature_names=names)
    booster = xgboost.train({**triage.COMMON, **PARAMETERS}, matrix, num_boost_round=TREES)
    booster.save_model(HERE / "model_cm.ubj")
    as_sent = booster.predict(xgboost.DMatrix(test_x, feature_names=names))
    print(f"model_cm.ubj: {TREES} trees; on cases in the unit they are sent in, "
          f"{np.mean((as_sent >= 0.5) != test_y):.0%} of answers are wrong")


if __name__ == "__main__":
    main()
