#!/usr/bin/env python3
"""Trains the models that bench_trees compares, into the folder named by the first argument.

    train.py build/bench/trees

Writes trees_100x6.ubj, trees_500x8.ubj and rows.f32 (4096 rows of 30 float32): 60,000 rows of 30
normal features with 2 % missing, a label of linear, periodic and product terms plus noise,
tree_method=hist. All is seeded, and a second run finds the files and does nothing.
"""
import pathlib
import sys

import numpy as np
import xgboost as xgb

ROWS, FEATURES, TEST_ROWS = 60000, 30, 4096
out = pathlib.Path(sys.argv[1])
if all((out / name).exists() for name in ("trees_100x6.ubj", "trees_500x8.ubj", "rows.f32")):
    sys.exit(0)
out.mkdir(parents=True, exist_ok=True)

rng = np.random.RandomState(1)
x = rng.randn(ROWS, FEATURES).astype(np.float32)
score = (x @ rng.randn(FEATURES) * 0.3 + np.sin(x[:, 0] * 3) + x[:, 1] * x[:, 2]
         - x[:, 3] * x[:, 4] * x[:, 5] + 0.7 * (x[:, 6] > 0.3) * (x[:, 7] < 0)
         + 0.8 * rng.randn(ROWS))
x[rng.rand(ROWS, FEATURES) < 0.02] = np.nan
data = xgb.DMatrix(x, label=(score > 0).astype(np.float32))
for rounds, depth in ((100, 6), (500, 8)):
    booster = xgb.train(dict(objective="binary:logistic", max_depth=depth, eta=0.1,
                             min_child_weight=0.1, tree_method="hist", base_score=0.5, nthread=2,
                             seed=1), data, rounds)
    booster.save_model(out / ("trees_%dx%d.ubj" % (rounds, depth)))
x[:TEST_ROWS].astype("<f4").tofile(out / "rows.f32")
