#!/usr/bin/env python3
"""Trains and converts the models that bench_onnx_trees compares, into the first argument.

    train.py build/bench/onnx_trees

Writes boosting_100x6.onnx (scikit-learn's gradient boosting, binary), forest_100x8.onnx (a random
forest, binary), the same trained on other rows as *_fine.onnx, and rows.f32 (4096 rows of 30
float32); converted by skl2onnx without ZipMap. Data: 20,000 rows of 30 normal features, a label of
linear, periodic and product terms plus noise. The fine models see every bit of the features, which
makes some hundred thresholds a feature; the others see them rounded to 0.05, as people measure. All
is seeded, and a second run finds the files and does nothing.
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
NAMES = [name + suffix for name in MODELS for suffix in ("", "_fine")]
out = pathlib.Path(sys.argv[1])
if all((out / name).exists() for name in [n + ".onnx" for n in NAMES] + ["rows.f32"]):
    sys.exit(0)
out.mkdir(parents=True, exist_ok=True)
rng = np.random.RandomState(1)
x = rng.randn(ROWS, FEATURES).astype(np.float32)
score = (x @ rng.randn(FEATURES) * 0.3 + np.sin(x[:, 0] * 3) + x[:, 1] * x[:, 2]
         - x[:, 3] * x[:, 4] * x[:, 5] + 0.8 * rng.randn(ROWS))
for name in NAMES:
    rows = x if name.endswith("_fine") else np.round(x * 20) / 20
    model = MODELS[name.removesuffix("_fine")].fit(rows, score > 0)
    converted = to_onnx(model, rows[:1], options={"zipmap": False})
    (out / (name + ".onnx")).write_bytes(converted.SerializeToString())
x[:TEST_ROWS].astype("<f4").tofile(out / "rows.f32")
