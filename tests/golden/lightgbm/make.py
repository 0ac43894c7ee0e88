#!/usr/bin/env python3
"""Makes the golden models and predictions of this folder with the real LightGBM.

    tests/golden/lightgbm/make.py            all versions, each in a virtual environment of its own
    tests/golden/lightgbm/make.py --here     the version of the Python that runs this

Folder shared/ gets the same predictions of models that are not ours to keep (../shared/data).
Folder VERSION/ gets, for each case NAME: NAME.txt as Booster.save_model writes it, and NAME.golden:

    slipway golden lightgbm\\n
    rows R features F margins K predictions P\\n
    little-endian float64: inputs [R, F], margins [R, K] (raw_score), predictions [R, P];
    then the same three for the inputs rounded to float32

LightGBM predicts from doubles; a float32 row is the double of each of its numbers. Inputs hold
random rows, the thresholds of the model themselves and their neighbours in float64 and float32,
and values at the edges: NaN, zeros, numbers around 1e-35 (which LightGBM takes for zero),
infinities, denormals; for categorical features also codes that are no codes.
"""
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
VERSIONS = {
    "3.3.5": ["lightgbm==3.3.5", "numpy==1.26.4", "scipy==1.11.4", "scikit-learn==1.3.2",
              "joblib==1.3.2", "threadpoolctl==3.2.0"],
    "4.7.0": ["lightgbm==4.7.0", "numpy==2.4.6", "scipy==1.17.1", "narwhals==2.15.0"],
}


def make_all():
    for version, packages in VERSIONS.items():
        venv = ROOT / "build" / ("venv-golden-lightgbm-" + version)
        python = venv / "bin" / "python"
        if not python.exists():
            subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "--no-deps", "--only-binary=:all:",
                        *packages], check=True)
        subprocess.run([python, __file__, "--here"], check=True)


if __name__ == "__main__" and "--here" not in sys.argv:
    make_all()
    sys.exit(0)

import lightgbm as lgb
import numpy as np

OUT = HERE / lgb.__version__
F32, F64 = np.float32, np.float64
ROWS, FEATURES = 400, 5

rng = np.random.RandomState(7)
X = rng.randn(ROWS, FEATURES)
HOLES = X.copy()
HOLES[rng.rand(ROWS, FEATURES) < 0.1] = np.nan
FILLED = np.nan_to_num(HOLES)
SCORE = FILLED[:, 0] + FILLED[:, 1] * FILLED[:, 2] - (FILLED[:, 3] > 0.4) + 0.3 * rng.randn(ROWS)
POSITIVE = (SCORE > 0.2).astype(int)
CLASSES = np.digitize(SCORE, [-0.7, 0.5])
ZEROS = HOLES * (rng.rand(ROWS, FEATURES) < 0.7)  # many zeros among the numbers
CODES = HOLES.copy()
CODES[:, 1] = rng.randint(0, 3, ROWS)
CODES[:, 3] = rng.randint(0, 70, ROWS)
CODES[rng.rand(ROWS, FEATURES) < 0.05] = np.nan
CODE_SCORE = (np.isin(CODES[:, 3], [1, 5, 8, 13, 21, 31, 33, 64, 66]) * 2.0 - (CODES[:, 1] == 1)
              + np.nan_to_num(CODES[:, 0]) + 0.1 * rng.randn(ROWS))

EDGES = [np.nan, 0.0, -0.0, np.inf, -np.inf, 5e-324, -5e-324, 1e-45, 9e-36, -9e-36, 1e-35,
         1.0000001e-35, 1.1e-35, -1.1e-35, 3.4028235e38, -3.4028235e38, 1e300, -1e300]
CODE_EDGES = [-1, -0.999, -0.5, -0.0, 0.5, 1.7, 2.99, 63, 64, 69.9, 70, 95, 96, 255, 1e6,
              2 ** 24, 2 ** 31 - 1, 2 ** 31, 2 ** 32 + 1, 1e300, np.inf, -np.inf, np.nan]


def thresholds_of(booster):
    """(feature, threshold) of numeric splits, a sample."""
    found = []

    def walk(node):
        if "split_index" not in node:
            return
        if node["decision_type"] == "<=":
            found.append((node["split_feature"], node["threshold"]))
        walk(node["left_child"])
        walk(node["right_child"])

    for tree in booster.dump_model()["tree_info"]:
        walk(tree["tree_structure"])
    return [found[i] for i in rng.permutation(len(found))[:16]]


def edge_rows(booster, data, categorical):
    rows = []

    def add(feature, value):
        row = data[rng.randint(len(data))].copy()
        row[feature] = value
        rows.append(row)

    for feature, threshold in thresholds_of(booster):
        near = F32(threshold)
        add(feature, threshold)
        add(feature, [np.nextafter(threshold, np.inf), np.nextafter(threshold, -np.inf)]
            [rng.randint(2)])
        add(feature, [near, np.nextafter(near, F32(np.inf)), np.nextafter(near, F32(-np.inf))]
            [rng.randint(3)])
    for value in EDGES:
        rows.append(np.full(data.shape[1], value))
        add(rng.randint(data.shape[1]), value)
    for feature in categorical:
        for value in CODE_EDGES:
            add(feature, value)
    return np.array(rows, F64)


def answer(booster, rows):
    margins = booster.predict(rows, raw_score=True).reshape(len(rows), -1)
    values = booster.predict(rows).reshape(len(rows), -1)
    return rows.astype("<f8"), margins.astype("<f8"), values.astype("<f8")


# of versions before 4 these: their files differ, their scores do not
OLD_CASES = ("binary", "multiclass", "missing_zero", "rf", "dart", "linear_tree", "categorical")


def save(name, booster, data, categorical=(), sample=12):
    booster.save_model(OUT / (name + ".txt"))
    loaded = lgb.Booster(model_file=str(OUT / (name + ".txt")))
    write(OUT / (name + ".golden"), loaded, data, categorical, sample)


def write(path, loaded, data, categorical=(), sample=12):
    picked = data[rng.permutation(len(data))[:sample]]
    rows = np.concatenate([picked, edge_rows(loaded, data, categorical)])
    with np.errstate(over="ignore"):
        narrow = rows.astype(F32).astype(F64)
    parts = [*answer(loaded, rows), *answer(loaded, narrow)]
    head = "slipway golden lightgbm\nrows %d features %d margins %d predictions %d\n" % (
        *rows.shape, parts[1].shape[1], parts[2].shape[1])
    path.write_bytes(
        head.encode() + b"".join(part.tobytes() for part in parts))


def case(name, label, data=HOLES, rounds=3, categorical=(), group=None, names="auto", linear=False,
         sample=12, **params):
    if lgb.__version__ < "4" and name not in OLD_CASES:
        return
    known = dict(num_leaves=7, learning_rate=0.4, num_threads=1, seed=1, verbose=-1,
                 min_data_in_leaf=5, deterministic=True, force_row_wise=True)
    known.update(params)
    more = dict(linear_tree=True) if linear else {}
    known.update(more)
    data_set = lgb.Dataset(data, label, group=group, categorical_feature=list(categorical),
                           feature_name=names, params=dict(verbose=-1, **more), free_raw_data=False)
    save(name, lgb.train(known, data_set, rounds), data, categorical, sample)


def objective_cases():
    positive = np.exp(SCORE)
    share = 1 / (1 + np.exp(-SCORE))
    case("binary", POSITIVE, objective="binary")
    case("binary_sigmoid", POSITIVE, objective="binary", sigmoid=0.7, is_unbalance=True)
    case("multiclass", CLASSES, objective="multiclass", num_class=3, num_leaves=4)
    case("multiclassova", CLASSES, objective="multiclassova", num_class=3, num_leaves=4,
         sigmoid=1.3)
    case("cross_entropy", share, objective="cross_entropy")
    case("cross_entropy_lambda", share, objective="cross_entropy_lambda")
    for name in ("regression", "regression_l1", "huber", "fair", "quantile", "mape"):
        case(name, SCORE, objective=name, names=list("abcde") if name == "huber" else "auto")
    case("regression_sqrt", SCORE * 3, objective="regression", reg_sqrt=True)
    case("poisson", np.floor(positive), objective="poisson")
    case("gamma", positive, objective="gamma")
    case("tweedie", positive, objective="tweedie", tweedie_variance_power=1.3)
    for name in ("lambdarank", "rank_xendcg"):
        case(name, POSITIVE, objective=name, group=[20] * (ROWS // 20))


def shape_cases():
    case("missing_none", SCORE, data=X, objective="regression", rounds=5)
    case("missing_unused", SCORE, objective="regression", use_missing=False)
    case("missing_zero", np.nan_to_num(ZEROS[:, 0]) + (ZEROS[:, 1] == 0) * 2 + 0.2 * SCORE,
         data=ZEROS, objective="regression", zero_as_missing=True, rounds=6)
    case("sparse_zeros", SCORE, data=ZEROS, objective="regression", rounds=5)
    for name, more in (("rf", dict(objective="binary")), ("rf_regression",
                                                           dict(objective="regression")),
                       ("rf_multiclass", dict(objective="multiclass", num_class=3, num_leaves=4))):
        case(name, CLASSES if "multi" in name else POSITIVE, boosting="rf", bagging_freq=1,
             bagging_fraction=0.6, feature_fraction=0.8, **more)
    case("dart", POSITIVE, objective="binary", boosting="dart", drop_rate=0.5, skip_drop=0.0,
         rounds=8, num_leaves=4)
    case("goss", POSITIVE, objective="binary",
         **({"boosting": "goss"} if lgb.__version__ < "4" else {"data_sample_strategy": "goss"}))
    case("constant", np.full(ROWS, 1.25), objective="regression")
    case("stumps", SCORE, objective="regression", num_leaves=2, rounds=19)
    case("deep", SCORE, objective="regression", num_leaves=120, min_data_in_leaf=1, rounds=2)
    case("wide", np.nan_to_num(HOLES[:, :3]).sum(1), data=np.tile(HOLES, (1, 30)),
         objective="regression", feature_fraction=0.2, rounds=4, sample=2)
    case("many", POSITIVE, objective="binary", rounds=40, num_leaves=5)
    case("linear_tree", SCORE, linear=True, objective="regression", linear_lambda=0.1)
    case("linear_tree_binary", POSITIVE, linear=True, objective="binary", linear_lambda=0.5)
    case("tiny", (X[:, 0] > 0) * 1.0 + (X[:, 1] > 1e-36), data=X * 2e-35, objective="regression",
         min_data_in_bin=1)


def categorical_cases():
    plain = dict(categorical=[1, 3], data=CODES, min_data_per_group=1, cat_smooth=1.0)
    case("categorical", CODE_SCORE, objective="regression", rounds=4, **plain)
    case("categorical_onehot", CODE_SCORE, objective="regression", max_cat_to_onehot=100, **plain)
    case("categorical_classes", np.digitize(CODE_SCORE, [0, 1]), objective="multiclass",
         num_class=3, **plain)
    case("categorical_linear", CODE_SCORE, objective="regression", linear=True, **plain)


if OUT.exists():
    for old in OUT.iterdir():
        old.unlink()
OUT.mkdir(exist_ok=True)
objective_cases()
shape_cases()
categorical_cases()
SHARED = ROOT.parent / "shared" / "data"
MODELS = {
    "kserve": "kserve/python/lgbserver/lgbserver/example_model/model/model.bst",
    "mlserver": "mlserver/docs/examples/lightgbm/iris-lightgbm.bst",
}
if lgb.__version__ >= "4" and SHARED.exists():
    (HERE / "shared").mkdir(exist_ok=True)
    for name, path in MODELS.items():
        write(HERE / "shared" / (name + ".golden"), lgb.Booster(model_file=str(SHARED / path)),
              rng.rand(40, 4) * [4, 3, 6, 2.5] + [4, 2, 1, 0])
size = sum(path.stat().st_size for path in OUT.iterdir())
print("LightGBM %s: %d models, %d KiB" % (
    lgb.__version__, len(list(OUT.glob("*.txt"))), size // 1024))
