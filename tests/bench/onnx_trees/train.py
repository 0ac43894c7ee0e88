#!/usr/bin/env python3
"""Trains and converts the models that bench_onnx_trees compares, into the first argument.

    train.py build/bench/onnx_trees

Writes boosting_100x6.onnx (scikit-learn's gradient boosting, binary), forest_100x8.onnx (a random
forest, binary) and rows.f32 (4096 rows of 30 float32), converted by skl2onnx without ZipMap. Data:
20,000 rows of 30 normal features, a label of linear, periodic and product terms plus noise; all is
seeded, and a second run finds the files and does nothing.
"""
import pathlib
import sys

import numpy as np
from skl2onnx import to_onnx
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier

ROWS, FEATURES, TEST_ROWS = 20000, 30, 4096
MODELS = {
    "boosting_100x6": GradientBoostingClassifier(n_estimators=100, max_depth=6, max_features=6,
                                                 subsample=0.5, random_state=1),
    "forest_100x8": RandomForestClassifier(n_estimators=100, max_depth=8, n_jobs=2, random_state=1),
}
out = pathlib.Path(sys.argv[1])
if all((out / name).exists() for name in [m + ".onnx" for m in MODELS] + ["rows.f32"]):
    sys.exit(0)
out.mkdir(parents=True, exist_ok=True)
rng = np.random.RandomState(1)
x = rng.randn(ROWS, FEATURES).astype(np.float32)
score = (x @ rng.randn(FEATURES) * 0.3 + np.sin(x[:, 0] * 3) + x[:, 1] * x[:, 2]
         - x[:, 3] * x[:, 4] * x[:, 5] + 0.8 * rng.randn(ROWS))
bins = np.round(x * 20) / 20  # numbers as people measure them: some hundred values a feature
for name, model in MODELS.items():
    converted = to_onnx(model.fit(bins, score > 0), bins[:1], options={"zipmap": False})
    (out / (name + ".onnx")).write_bytes(converted.SerializeToString())
bins[:TEST_ROWS].astype("<f4").tofile(out / "rows.f32")
