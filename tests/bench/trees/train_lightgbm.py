#!/usr/bin/env python3
"""Trains the LightGBM models that bench_trees compares, into the folder named by the argument.

    train_lightgbm.py build/bench/trees

Writes lightgbm_100x6.txt and lightgbm_500x8.txt (max_depth 6 and 8, 31 and 63 leaves), and
lightgbm_rows.f32: rows, label and seeds as in train.py. A second run finds the files.
"""
import pathlib
import sys

import lightgbm as lgb
import numpy as np

ROWS, FEATURES, TEST_ROWS = 60000, 30, 4096
MODELS = {"lightgbm_100x6.txt": (100, 6, 31), "lightgbm_500x8.txt": (500, 8, 63)}
out = pathlib.Path(sys.argv[1])
if all((out / name).exists() for name in (*MODELS, "lightgbm_rows.f32")):
    sys.exit(0)
out.mkdir(parents=True, exist_ok=True)

rng = np.random.RandomState(1)
x = rng.randn(ROWS, FEATURES).astype(np.float32)
score = (x @ rng.randn(FEATURES) * 0.3 + np.sin(x[:, 0] * 3) + x[:, 1] * x[:, 2]
         - x[:, 3] * x[:, 4] * x[:, 5] + 0.7 * (x[:, 6] > 0.3) * (x[:, 7] < 0)
         + 0.8 * rng.randn(ROWS))
x[rng.rand(ROWS, FEATURES) < 0.02] = np.nan
data = lgb.Dataset(x, label=(score > 0).astype(np.float32))
for name, (rounds, depth, leaves) in MODELS.items():
    booster = lgb.train({"objective": "binary", "max_depth": depth, "num_leaves": leaves,
                         "learning_rate": 0.1, "num_threads": 2, "seed": 1, "verbose": -1},
                        data, rounds)
    booster.save_model(out / name)
x[:TEST_ROWS].astype("<f4").tofile(out / "lightgbm_rows.f32")
