#!/usr/bin/env python3
"""Makes the golden models and predictions of this folder with the real XGBoost.

    tests/golden/trees/make.py            all versions, each in a virtual environment of its own
    tests/golden/trees/make.py --here     the version of the Python that runs this

Folder VERSION/ gets, for each case NAME: NAME.json and/or NAME.ubj as Booster.save_model writes
them, and NAME.golden:

    slipway golden trees\\n
    rows R features F margins K predictions P\\n
    float32, little-endian: inputs [R, F], margins [R, K], predictions [R, P]

Margins and predictions come from the model as it is loaded from its file, over iterations
0 ... best_iteration when the file names one, as xgboost.sklearn predicts. Inputs hold random
rows, the thresholds of the model themselves and their neighbours, and values at the edges of
float32: NaN, both zeros and infinities, denormals, the largest; for categorical features also
codes that are no codes.
"""
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
# version -> what pip installs, without the GPU libraries that xgboost asks for; pandas and what it
# needs only where model files hold category names
VERSIONS = {
    "1.7.6": ["xgboost==1.7.6", "numpy==1.26.4", "scipy==1.17.1"],
    "2.1.4": ["xgboost==2.1.4", "numpy==2.4.6", "scipy==1.17.1"],
    "3.2.0": ["xgboost==3.2.0", "numpy==2.4.6", "scipy==1.17.1", "pandas==2.3.3",
              "python-dateutil==2.9.0.post0", "six==1.17.0", "pytz==2025.2", "tzdata==2025.2"],
}


def make_all():
    for version, packages in VERSIONS.items():
        venv = ROOT / "build" / ("venv-golden-" + version)
        python = venv / "bin" / "python"
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "--only-binary=:all:",
                        *packages],
                       check=True)
        subprocess.run([python, __file__, "--here"], check=True)


if __name__ == "__main__" and "--here" not in sys.argv:
    make_all()
    sys.exit(0)

import warnings

import numpy as np
import xgboost as xgb

warnings.simplefilter("ignore")
VERSION = tuple(int(part) for part in xgb.__version__.split("."))
OUT = HERE / xgb.__version__
F32 = np.float32
ROWS, FEATURES = 400, 5

rng = np.random.RandomState(7)
X = rng.randn(ROWS, FEATURES).astype(F32)
X[rng.rand(ROWS, FEATURES) < 0.08] = np.nan
FILLED = np.nan_to_num(X)
SCORE = FILLED[:, 0] + FILLED[:, 1] * FILLED[:, 2] - (FILLED[:, 3] > 0.4) + 0.3 * rng.randn(ROWS)
POSITIVE = (SCORE > 0.2).astype(F32)
CLASSES = np.digitize(SCORE, [-0.7, 0, 0.7])

CODES = X.copy()
CODES[:, 1] = rng.randint(0, 3, ROWS)
CODES[:, 3] = rng.randint(0, 40, ROWS)
CODES[rng.rand(ROWS, FEATURES) < 0.08] = np.nan
CODE_SCORE = (np.isin(CODES[:, 3], [1, 5, 8, 13, 21, 31, 33]) * 2.0 - (CODES[:, 1] == 1)
              + np.nan_to_num(CODES[:, 0]) + 0.1 * rng.randn(ROWS))
CODE_TYPES = ["q", "c", "q", "c", "float"]

EDGES = [np.nan, 0.0, -0.0, np.inf, -np.inf, 1e-45, -1e-45, 1e-38, 3.4028235e38, -3.4028235e38]
CODE_EDGES = [-1, -0.5, -0.0, 0.5, 1.7, 2.99, 63, 64, 255, 1e6, 2 ** 24 - 1, 2 ** 24, 2 ** 25, 1e9,
              3e38, np.inf, -np.inf, np.nan]


def thresholds_of(booster):
    """(feature, threshold) of numeric splits, a sample."""
    model = json.loads(booster.save_raw("json"))["learner"]["gradient_booster"]
    trees = (model.get("model") or model["gbtree"]["model"])["trees"]
    found = []
    for tree in trees:
        types = tree.get("split_type") or [0] * len(tree["left_children"])
        for i, left in enumerate(tree["left_children"]):
            if left != -1 and types[i] == 0:
                found.append((tree["split_indices"][i], F32(tree["split_conditions"][i])))
    return [found[i] for i in rng.permutation(len(found))[:30]]


def edge_rows(booster, data, types):
    features = data.shape[1]
    rows = []
    for feature, threshold in thresholds_of(booster):
        row = data[rng.randint(len(data))].copy()
        row[feature] = [threshold, np.nextafter(threshold, F32(np.inf)),
                        np.nextafter(threshold, F32(-np.inf))][rng.randint(3)]
        rows.append(row)
    for value in EDGES:
        rows.append(np.full(features, value, F32))
        row = data[rng.randint(len(data))].copy()
        row[rng.randint(features)] = value
        rows.append(row)
    for feature, kind in enumerate(types or []):
        if kind == "c":
            for value in CODE_EDGES:
                row = data[rng.randint(len(data))].copy()
                row[feature] = value
                rows.append(row)
    return np.array(rows, F32)


def iterations(booster):
    try:
        return (0, int(booster.best_iteration) + 1)
    except AttributeError:
        return (0, 0)


def dmatrix(rows, types):
    return xgb.DMatrix(rows, feature_types=types, missing=np.nan,
                       enable_categorical=bool(types)) if types else xgb.DMatrix(rows)


def predict(booster, rows, types, margin, is_dart):
    """Booster.predict; inplace_predict where DMatrix refuses the row (infinities). DART's
    inplace_predict adds and subtracts base_score around each tree, so it has other bits."""
    span = iterations(booster)
    plain = dict(iteration_range=span, strict_shape=True, validate_features=False)
    try:
        return booster.predict(dmatrix(rows, types), output_margin=margin, **plain)
    except xgb.core.XGBoostError:
        if is_dart:
            raise
        return booster.inplace_predict(rows, predict_type="margin" if margin else "value", **plain)


def answer(booster, rows, types, is_dart):
    """Rows XGBoost itself refuses to predict are left out."""
    kept, margins, predictions = [], [], []
    for row in rows:
        row = row.reshape(1, -1)
        try:
            margin = predict(booster, row, types, True, is_dart).reshape(-1)
            value = predict(booster, row, types, False, is_dart).reshape(-1)
        except xgb.core.XGBoostError as error:
            refused.add(str(error).splitlines()[0][-90:])
            continue
        kept.append(row[0])
        margins.append(margin)
        predictions.append(value)
    return np.array(kept, F32), np.array(margins, F32), np.array(predictions, F32)


refused = set()
count = 0


def save(name, booster, data, types=None, formats=None, sample=20):
    """Both file formats for every third case, one of them for the others."""
    global count
    count += 1
    formats = formats or (("json", "ubj"), ("json",), ("ubj",))[count % 3]
    for suffix in formats:
        booster.save_model(OUT / (name + "." + suffix))
    loaded = xgb.Booster(model_file=OUT / (name + "." + formats[0]))
    is_dart = name.startswith("dart")
    picked = data[rng.permutation(len(data))[:sample]]
    edges = edge_rows(loaded, data, types)
    if data.shape[1] > 100:  # rows are long: a few of them
        edges = edges[rng.permutation(len(edges))[:8]]
    rows = np.concatenate([picked, edges])
    kept, margins, predictions = answer(loaded, rows, types, is_dart)
    head = "slipway golden trees\nrows %d features %d margins %d predictions %d\n" % (
        *kept.shape, margins.shape[1], predictions.shape[1])
    (OUT / (name + ".golden")).write_bytes(
        head.encode() + kept.astype("<f4").tobytes() + margins.astype("<f4").tobytes()
        + predictions.astype("<f4").tobytes())


def case(name, label, data=X, rounds=3, types=None, formats=None, sample=20, weight=None,
         bounds=False, group=None, names=None, **params):
    known = dict(max_depth=3, eta=0.4, nthread=1, seed=1, tree_method="hist")
    known.update(params)
    matrix = xgb.DMatrix(data, label=label, weight=weight, feature_types=types,
                         feature_names=names, enable_categorical=bool(types))
    if bounds:
        matrix.set_float_info("label_lower_bound", np.asarray(label, F32))
        matrix.set_float_info("label_upper_bound", np.asarray(label, F32) + 1)
    if group:
        matrix.set_group(group)
    save(name, xgb.train(known, matrix, rounds), data, types, formats, sample)


def early(name, label, objective, limit=25, **params):
    """Training that stops early; the file keeps rounds past the best one."""
    half = ROWS // 2
    train = xgb.DMatrix(X[:half], label=label[:half])
    check = xgb.DMatrix(X[half:], label=label[half:])
    known = dict(max_depth=3, eta=1.0, nthread=1, seed=1, tree_method="hist", objective=objective)
    known.update(params)
    booster = xgb.train(known, train, limit, evals=[(check, "check")], early_stopping_rounds=2,
                        verbose_eval=False)
    assert booster.best_iteration + 1 < booster.num_boosted_rounds()
    save(name, booster, X)


def plain_cases():
    positive = np.exp(SCORE)
    case("binary_logistic", POSITIVE, objective="binary:logistic", formats=("json", "ubj"))
    case("binary_logistic_base", POSITIVE, objective="binary:logistic", base_score=0.3)
    case("binary_logitraw", POSITIVE, objective="binary:logitraw", base_score=0.3)
    case("binary_hinge", POSITIVE, objective="binary:hinge")
    case("reg_squarederror", SCORE, objective="reg:squarederror", names=list("abcde"),
         formats=("json", "ubj"))
    case("reg_squaredlogerror", positive, objective="reg:squaredlogerror")
    case("reg_pseudohubererror", SCORE, objective="reg:pseudohubererror")
    case("reg_absoluteerror", SCORE, objective="reg:absoluteerror")
    case("reg_logistic", 1 / (1 + np.exp(-SCORE)), objective="reg:logistic", base_score=0.2)
    case("reg_gamma", positive, objective="reg:gamma")
    case("reg_tweedie", positive, objective="reg:tweedie", tweedie_variance_power=1.3)
    case("count_poisson", np.floor(positive), objective="count:poisson", base_score=2.0)
    case("survival_cox", positive, objective="survival:cox")
    case("survival_aft", positive, objective="survival:aft", bounds=True, base_score=2.0)
    case("multi_softprob", CLASSES, objective="multi:softprob", num_class=4, max_depth=2)
    case("multi_softmax", CLASSES, objective="multi:softmax", num_class=4, base_score=0.2,
         max_depth=2)
    for kind in ("pairwise", "ndcg", "map"):
        case("rank_" + kind, POSITIVE, objective="rank:" + kind, group=[20] * (ROWS // 20))
    if VERSION >= (2,):
        case("reg_quantileerror", SCORE, objective="reg:quantileerror",
             quantile_alpha=[0.1, 0.5, 0.9])


def shape_cases():
    both = np.stack([SCORE, SCORE * SCORE], 1)
    case("forest", POSITIVE, objective="binary:logistic", num_parallel_tree=4, subsample=0.5,
         rounds=2)
    case("forest_classes", CLASSES, objective="multi:softprob", num_class=4, num_parallel_tree=2,
         subsample=0.5, rounds=2, max_depth=2)
    case("dart", POSITIVE, objective="binary:logistic", booster="dart", rate_drop=0.4, rounds=9,
         max_depth=2, base_score=0.3, formats=("json", "ubj"))
    case("dart_classes", CLASSES, objective="multi:softprob", num_class=4, booster="dart",
         rate_drop=0.4, max_depth=2)
    case("targets", both, objective="reg:squarederror")
    case("labels", np.stack([POSITIVE, 1 - POSITIVE], 1), objective="binary:logistic")
    if VERSION >= (2,):
        case("vector_leaves", both, objective="reg:squarederror",
             multi_strategy="multi_output_tree", formats=("json", "ubj"))
    early("early", POSITIVE, "binary:logistic")
    early("early_classes", CLASSES, "multi:softprob", num_class=4, num_parallel_tree=2, limit=12,
          max_depth=2, eta=2.0)
    case("only_leaves", POSITIVE, objective="binary:logistic", gamma=1e9)
    case("stumps", SCORE, objective="reg:squarederror", max_depth=1, rounds=19)
    case("deep", SCORE, objective="reg:squarederror", max_depth=14, rounds=2, min_child_weight=0,
         formats=("ubj",))
    case("depth8", SCORE, objective="reg:squarederror", max_depth=8, rounds=3, formats=("ubj",))
    case("leafwise", SCORE, objective="reg:squarederror", max_depth=0, max_leaves=9,
         grow_policy="lossguide")
    case("pruned", SCORE, objective="reg:squarederror", tree_method="exact", gamma=1.5,
         max_depth=5)
    case("one_feature", SCORE, data=X[:, :1].copy(), objective="reg:squarederror")


def wide_cases():
    wide = rng.randn(300, 1000).astype(F32)
    wide[rng.rand(300, 1000) < 0.05] = np.nan
    label = np.nan_to_num(wide[:, ::7]).sum(1)
    case("wide", label, data=wide, objective="reg:squarederror", max_depth=4, rounds=6,
         colsample_bytree=0.3, formats=("ubj",), sample=2)
    middle = wide[:, :45].copy()
    case("features_45", np.nan_to_num(middle).sum(1), data=middle, objective="reg:squarederror",
         max_depth=6, rounds=3, formats=("ubj",), sample=5)
    # 256 bins of two features, all used: 257 ranks do not fit a byte.
    dense = rng.randn(20000, 2).astype(F32)
    dense[rng.rand(20000, 2) < 0.02] = np.nan
    waves = np.sin(dense[:, 0] * 40) + np.cos(dense[:, 1] * 40) + dense[:, 0]
    case("saturated", np.nan_to_num(waves), data=dense, objective="reg:squarederror", max_depth=8,
         rounds=8 if VERSION >= (3,) else 1, formats=("ubj",))


def categorical_cases():
    for name, onehot in (("categorical_onehot", 100), ("categorical_sets", 1)):
        case(name, CODE_SCORE, data=CODES, types=CODE_TYPES, objective="reg:squarederror",
             max_cat_to_onehot=onehot, max_depth=4, formats=("json", "ubj"))
    case("categorical_classes", np.digitize(CODE_SCORE, [0, 1]), data=CODES, types=CODE_TYPES,
         objective="multi:softprob", num_class=3, max_cat_to_onehot=4)
    if VERSION >= (3, 1):
        named_categories()


def named_categories():
    """Trained from a data frame, so the file holds the names of the categories."""
    import pandas
    names = np.array(["ash", "beech", "cedar", "oak"])
    codes = rng.randint(0, 4, ROWS)
    numbers = rng.randint(0, 3, ROWS)
    frame = pandas.DataFrame({
        "size": X[:, 0],
        "wood": pandas.Categorical.from_codes(codes, names),
        "year": pandas.Categorical.from_codes(numbers, [1999, 2004, 2010])})
    label = (codes == 2) * 2.0 + (numbers == 1) + FILLED[:, 0]
    matrix = xgb.DMatrix(frame, label=label, enable_categorical=True)
    booster = xgb.train(dict(objective="reg:squarederror", tree_method="hist", max_depth=3,
                             max_cat_to_onehot=1, nthread=1), matrix, 4)
    rows = np.stack([X[:, 0], codes, numbers], 1).astype(F32)
    save("categorical_names", booster, rows, ["float", "c", "c"], ("json", "ubj"))
    by_name = booster.predict(matrix, output_margin=True)
    by_code = booster.predict(dmatrix(rows, ["float", "c", "c"]), output_margin=True,
                              validate_features=False)
    assert (by_name == by_code).all()


if OUT.exists():
    for old in OUT.iterdir():
        old.unlink()
OUT.mkdir(exist_ok=True)
plain_cases()
shape_cases()
wide_cases()
categorical_cases()
size = sum(path.stat().st_size for path in OUT.iterdir())
print("%s: %d cases, %d bytes" % (xgb.__version__, count, size))
for reason in sorted(refused):
    print("  rows left out, because XGBoost says:", reason)
