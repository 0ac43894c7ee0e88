#!/usr/bin/env python3
"""Makes the golden ONNX models of this folder and what ONNX Runtime answers.

    tests/golden/onnx_ml/make.py           in a virtual environment of its own
    tests/golden/onnx_ml/make.py --here    in the Python that runs this

trees/ has one TreeEnsemble each: from scikit-learn (skl2onnx), LightGBM and XGBoost (onnxmltools),
and made by hand, at random, with every mode, aggregate, post transform and base. linear/ has
scikit-learn pipelines. NAME.onnx is the model; NAME.json its inputs and outputs as the Open
Inference Protocol writes them, but null is NaN and "inf", "-inf" are infinities; of ZipMap the
values, a row for each row, under the name of its input. ONNX Runtime runs in one thread, so that
sums have one order. Inputs hold random rows, thresholds and their neighbours, NaN, zeros and
infinities.
"""
import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent.parent
PACKAGES = ["onnxruntime==1.32.0", "onnx==1.23.2", "skl2onnx==1.20.0", "onnxmltools==1.16.0",
            "scikit-learn==1.9.1", "lightgbm==4.7.0", "xgboost-cpu==3.2.0", "numpy==2.4.6",
            "scipy==1.17.1", "pandas==2.3.3"]


def make_in_venv():
    venv = ROOT / "build" / "venv-golden-onnx-ml"
    python = venv / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    subprocess.run([python, "-m", "pip", "install", "-q", "--only-binary=:all:", *PACKAGES],
                   check=True)
    subprocess.run([python, __file__, "--here"], check=True)


if __name__ == "__main__" and "--here" not in sys.argv:
    make_in_venv()
    sys.exit(0)

import warnings

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

warnings.simplefilter("ignore")
F32 = np.float32
ROWS, FEATURES = 240, 5
rng = np.random.RandomState(7)
X = rng.randn(ROWS, FEATURES).astype(F32)
SCORE = X[:, 0] + X[:, 1] * X[:, 2] - (X[:, 3] > 0.4) + 0.3 * rng.randn(ROWS)
POSITIVE = (SCORE > 0.2).astype(int)
CLASSES = np.digitize(SCORE, [-0.7, 0.5])
EDGES = [np.nan, 0.0, -0.0, np.inf, -np.inf, 1e-45, 3.4028235e38, -3.4028235e38]
DTYPES = {np.dtype("float32"): "FP32", np.dtype("float64"): "FP64", np.dtype("int64"): "INT64",
          np.dtype("int32"): "INT32", np.dtype("bool"): "BOOL", np.dtype("object"): "BYTES"}


def plain(value):
    if isinstance(value, (float, np.floating)):
        if np.isnan(value):
            return None
        if np.isinf(value):
            return "inf" if value > 0 else "-inf"
        return float(value)
    return value.item() if isinstance(value, np.generic) else value


def tensor(name, array):
    array = np.asarray(array)
    if array.dtype.kind == "U":
        array = array.astype(object)
    return {"name": name, "datatype": DTYPES[array.dtype], "shape": list(array.shape),
            "data": [plain(v) for v in array.reshape(-1)]}


def run(model, feeds):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options,
                                   providers=["CPUExecutionProvider"])
    outputs = {}
    zipped = {n.output[0]: n.input[0] for n in model.graph.node if n.op_type == "ZipMap"}
    for info, value in zip(session.get_outputs(), session.run(None, feeds)):
        if isinstance(value, list):  # ZipMap
            value = np.array([list(row.values()) for row in value], F32)
        outputs[zipped.get(info.name, info.name)] = value
    return outputs


def save(folder, name, model, feeds):
    outputs = run(model, feeds)
    out = HERE / folder
    (out / (name + ".onnx")).write_bytes(model.SerializeToString())
    golden = {"inputs": [tensor(k, v) for k, v in feeds.items()],
              "outputs": [tensor(k, v) for k, v in outputs.items()]}
    (out / (name + ".json")).write_text(json.dumps(golden, separators=(",", ":")) + "\n")


def thresholds_of(model):
    found = []
    for node in model.graph.node:
        attributes = {a.name: a for a in node.attribute}
        if "nodes_values" in attributes:
            found += list(zip(attributes["nodes_featureids"].ints,
                              attributes["nodes_values"].floats))
        if "nodes_splits" in attributes:
            found += list(zip(attributes["nodes_featureids"].ints,
                              numpy_helper.to_array(attributes["nodes_splits"].t)))
    return found


def tree_rows(model, features=FEATURES, sample=8):
    rows = [rng.randn(features) for _ in range(sample)]
    found = thresholds_of(model)
    for i in rng.permutation(len(found))[:10]:
        feature, value = found[i]
        for near in (value, np.nextafter(F32(value), F32(np.inf)),
                     np.nextafter(F32(value), F32(-np.inf))):
            row = rng.randn(features)
            row[feature] = near
            rows.append(row)
    for value in EDGES:
        rows.append(np.full(features, value))
        row = rng.randn(features)
        row[rng.randint(features)] = value
        rows.append(row)
    return np.array(rows, F32)


def save_trees(name, model, features=FEATURES):
    feeds = {model.graph.input[0].name: tree_rows(model, features)}
    save("trees", name, model, feeds)


# --- from libraries ---------------------------------------------------------------------------

def sklearn_trees():
    from skl2onnx import to_onnx
    from sklearn.ensemble import (ExtraTreesClassifier, ExtraTreesRegressor,
                                  GradientBoostingClassifier, GradientBoostingRegressor,
                                  HistGradientBoostingRegressor, RandomForestClassifier,
                                  RandomForestRegressor)
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
    names = np.array(["ash", "beech", "oak"])[CLASSES]
    small = dict(n_estimators=4, random_state=1)
    cases = {
        "rf_binary": (RandomForestClassifier(max_depth=4, **small), POSITIVE, {}),
        "rf_classes": (RandomForestClassifier(max_depth=4, **small), CLASSES, {"zipmap": False}),
        "rf_names": (RandomForestClassifier(max_depth=3, **small), names, {}),
        "rf_deep": (RandomForestClassifier(**small), CLASSES + 5, {"zipmap": False}),
        "rf_regression": (RandomForestRegressor(max_depth=5, **small), SCORE, None),
        "rf_targets": (RandomForestRegressor(max_depth=3, **small),
                       np.stack([SCORE, SCORE ** 2], 1), None),
        "et_binary": (ExtraTreesClassifier(max_depth=4, **small), POSITIVE, {"zipmap": False}),
        "et_regression": (ExtraTreesRegressor(max_depth=4, **small), SCORE, None),
        "gb_binary": (GradientBoostingClassifier(**small), POSITIVE, {}),
        "gb_classes": (GradientBoostingClassifier(max_depth=2, **small), CLASSES,
                       {"zipmap": False}),
        "gb_regression": (GradientBoostingRegressor(**small), SCORE, None),
        "hgb_regression": (HistGradientBoostingRegressor(max_iter=4, max_leaf_nodes=8), SCORE,
                           None),
        "dt_classes": (DecisionTreeClassifier(max_depth=4), CLASSES, {}),
        "dt_regression": (DecisionTreeRegressor(max_depth=4), SCORE, None),
    }
    for name, (model, label, options) in cases.items():
        try:
            converted = to_onnx(model.fit(X, label), X[:1], options=options)
        except (TypeError, ValueError, RuntimeError) as error:
            print("not converted:", name, str(error).splitlines()[0][:80])
            continue
        save_trees(name, converted)


def boosted_trees():
    import lightgbm
    import xgboost
    from onnxmltools import convert_lightgbm, convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType
    types = [("input", FloatTensorType([None, FEATURES]))]
    holes = X.copy()
    holes[rng.rand(ROWS, FEATURES) < 0.1] = np.nan
    light = dict(n_estimators=4, num_leaves=6, verbose=-1, n_jobs=1)
    save_trees("lightgbm_binary", convert_lightgbm(
        lightgbm.LGBMClassifier(**light).fit(holes, POSITIVE), initial_types=types))
    save_trees("lightgbm_classes", convert_lightgbm(
        lightgbm.LGBMClassifier(**light).fit(holes, CLASSES), initial_types=types, zipmap=False))
    save_trees("lightgbm_regression", convert_lightgbm(
        lightgbm.LGBMRegressor(**light).fit(X, SCORE), initial_types=types))
    boost = dict(n_estimators=4, max_depth=3, n_jobs=1)
    for name, model, label in (("binary", xgboost.XGBClassifier(**boost), POSITIVE),
                               ("classes", xgboost.XGBClassifier(**boost), CLASSES),
                               ("regression", xgboost.XGBRegressor(**boost), SCORE)):
        try:
            save_trees("xgboost_" + name, convert_xgboost(model.fit(holes, label),
                                                          initial_types=types))
        except (TypeError, ValueError, RuntimeError, AttributeError) as error:
            print("not converted: xgboost", name, str(error).splitlines()[0][:80])


# --- by hand -----------------------------------------------------------------------------------

MODES = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ"]
VALUES = [-1.5, -0.5, 0.0, -0.0, 0.25, 1.0, 2.0, 3.0, np.inf, -np.inf, 3.4028235e38]


def grow(depth):
    """A random tree as nested tuples: (mode, feature, value, tracks, true, false) or None."""
    if depth == 0 or rng.rand() < 0.2:
        return None
    value = VALUES[rng.randint(len(VALUES))] if rng.rand() < 0.5 else rng.randn()
    return (rng.randint(6), rng.randint(FEATURES), F32(value), rng.randint(2), grow(depth - 1),
            grow(depth - 1))


def number(tree, nodes):
    """Nodes in depth-first order: [mode, feature, value, tracks, true, false]."""
    at = len(nodes)
    nodes.append(None)
    if tree is None:
        nodes[at] = ["LEAF", 0, F32(0), 0, 0, 0]
        return at
    mode, feature, value, tracks, true, false = tree
    true, false = number(true, nodes), number(false, nodes)
    nodes[at] = [MODES[mode], feature, value, tracks, true, false]
    return at


def old_ensemble(depth, tree_count, targets, covers):
    """Attributes of versions 1 and 3; covers(tree) says which targets its leaves speak of."""
    a = {k: [] for k in ("nodes_treeids nodes_nodeids nodes_modes nodes_featureids nodes_values "
                         "nodes_truenodeids nodes_falsenodeids nodes_missing_value_tracks_true "
                         "treeids nodeids ids weights").split()}
    for tree in range(tree_count):
        nodes = []
        number(grow(depth), nodes)
        for i, (mode, feature, value, tracks, true, false) in enumerate(nodes):
            for key, item in zip(list(a)[:8], (tree * 3, i + 2, mode, feature, value,
                                               true + 2 if mode != "LEAF" else 0,
                                               false + 2 if mode != "LEAF" else 0, tracks)):
                a[key].append(item)
            for target in covers(tree) if mode == "LEAF" else []:
                for key, item in zip(list(a)[8:], (tree * 3, i + 2, target, F32(rng.randn()))):
                    a[key].append(item)
    return a, targets


def model_of(op, attributes, outputs, version):
    node = helper.make_node(op, ["x"], [name for name, _, _ in outputs], domain="ai.onnx.ml",
                            **attributes)
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, FEATURES])],
        [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in outputs])
    return helper.make_model(graph, ir_version=9, opset_imports=[
        helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", version)])


def regressor(name, targets=1, covers=None, depth=4, tree_count=5, base=False, **more):
    a, _ = old_ensemble(depth, tree_count, targets, covers or (lambda t: range(targets)))
    for key in ("treeids", "nodeids", "ids", "weights"):
        a["target_" + key] = a.pop(key)
    if base:
        a["base_values"] = [F32(v) for v in rng.randn(targets)]
    save_trees(name, model_of("TreeEnsembleRegressor", dict(a, n_targets=targets, **more),
                              [("y", TensorProto.FLOAT, [None, targets])], 3))


def classifier(name, labels, covers, depth=4, tree_count=5, base=0, positive=False, **more):
    count = len(labels)
    a, _ = old_ensemble(depth, tree_count, count, covers)
    for key in ("treeids", "nodeids", "ids", "weights"):
        a["class_" + key] = a.pop(key)
    if positive:
        a["class_weights"] = [abs(v) / 4 for v in a["class_weights"]]
    if base:
        a["base_values"] = [F32(v) for v in rng.randn(base)]
    texts = isinstance(labels[0], str)
    a["classlabels_strings" if texts else "classlabels_int64s"] = labels
    save_trees(name, model_of(
        "TreeEnsembleClassifier", dict(a, **more),
        [("label", TensorProto.STRING if texts else TensorProto.INT64, [None]),
         ("scores", TensorProto.FLOAT, [None, count])], 3))


def hand_regressors():
    for aggregate in ("SUM", "AVERAGE", "MIN", "MAX"):
        for base in (False, True):
            regressor("regressor_%s%s" % (aggregate.lower(), "_base" if base else ""),
                      aggregate_function=aggregate, base=base)
        regressor("targets_%s" % aggregate.lower(), 3, aggregate_function=aggregate, base=True)
    for post in ("LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"):
        regressor("regressor_" + post.lower(), post_transform=post)
        regressor("targets_" + post.lower(), 3, post_transform=post)
    regressor("targets_apart", 3, lambda t: [t % 3], tree_count=7)
    regressor("targets_many", 9, depth=3)
    regressor("targets_deep", 3, depth=10, tree_count=2)
    regressor("regressor_deep", 1, depth=12, tree_count=3)


def hand_classifiers():
    for post in ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"):
        lower = post.lower()
        for base in (0, 1, 2):
            for positive in (False, True):
                classifier("binary_%s_%d%s" % (lower, base, "_positive" if positive else ""),
                           [0, 1], lambda t: [0], base=base, positive=positive,
                           post_transform=post)
        for base in (0, 2):
            classifier("binary_one_%s_%d" % (lower, base), [0, 1], lambda t: [1], base=base,
                       post_transform=post)
            classifier("binary_both_%s_%d" % (lower, base), [3, 8], lambda t: [0, 1], base=base,
                       post_transform=post)
        classifier("classes_" + lower, ["a", "b", "c"], lambda t: range(3), post_transform=post)
        classifier("classes_base_" + lower, [4, 2, 9], lambda t: [t % 3], base=3,
                   post_transform=post)


def new_ensemble(name, aggregate, post, targets):
    """TreeEnsemble of version 5, with sets of members."""
    modes, features, splits, tracks, yes, no, yes_leaf, no_leaf = ([] for _ in range(8))
    members, roots, leaf_targets, leaf_weights = [], [], [], []

    def leaf(target):
        leaf_targets.append(target)
        leaf_weights.append(F32(rng.randn()))
        return len(leaf_targets) - 1

    def put(tree, target):
        at = len(modes)
        mode, feature, value, track, true, false = tree
        if rng.rand() < 0.3:
            mode = 6
        for column, item in zip((modes, features, splits, tracks, yes, no, yes_leaf, no_leaf),
                                (mode, feature, value, track, 0, 0, 0, 0)):
            column.append(item)
        if mode == 6:
            members.extend([1.0, 3.0, F32(rng.randint(4, 9)), np.nan])
        for child, column, flags in ((true, yes, yes_leaf), (false, no, no_leaf)):
            flags[at] = int(child is None)
            column[at] = leaf(target) if child is None else put(child, target)
        return at

    for tree in range(5):
        grown = None
        while grown is None:
            grown = grow(4)
        roots.append(len(modes))
        put(grown, tree % targets)
    attributes = dict(
        n_targets=targets, aggregate_function=aggregate, post_transform=post, tree_roots=roots,
        nodes_featureids=features, nodes_truenodeids=yes, nodes_falsenodeids=no,
        nodes_trueleafs=yes_leaf, nodes_falseleafs=no_leaf,
        nodes_missing_value_tracks_true=tracks, leaf_targetids=leaf_targets,
        nodes_modes=numpy_helper.from_array(np.array(modes, np.uint8)),
        nodes_splits=numpy_helper.from_array(np.array(splits, F32)),
        leaf_weights=numpy_helper.from_array(np.array(leaf_weights, F32)))
    if members:
        attributes["membership_values"] = numpy_helper.from_array(np.array(members, F32))
    model = model_of("TreeEnsemble", attributes, [("y", TensorProto.FLOAT, [None, targets])], 5)
    rows = tree_rows(model)
    some = rng.rand(*rows.shape) < 0.3
    rows[some] = rng.randint(0, 9, some.sum())
    save("trees", name, model, {"x": rows})


# --- pipelines ------------------------------------------------------------------------------------

def mixed_rows(count=40):
    """Columns of a data frame: numbers with holes, whole numbers, texts known and unknown."""
    numbers = rng.randn(count, 2).astype(F32) * 10
    numbers[rng.rand(count, 2) < 0.15] = np.nan
    return {"age": numbers[:, :1], "fare": numbers[:, 1:],
            "sex": np.array(["m", "f", "x", ""], object)[rng.randint(0, 4, (count, 1))],
            "port": np.array(["S", "C", "Q", "?", "Cherbourg"],
                             object)[rng.randint(0, 5, (count, 1))],
            "cabins": rng.randint(-1, 6, (count, 1)).astype(np.int64)}


def frame(count=ROWS):
    import pandas
    rows = mixed_rows(count)
    rows["sex"] = np.array(["m", "f"], object)[rng.randint(0, 2, (count, 1))]
    rows["port"] = np.array(["S", "C", "Q"], object)[rng.randint(0, 3, (count, 1))]
    rows["cabins"] = np.abs(rows["cabins"])
    return pandas.DataFrame({name: column[:, 0] for name, column in rows.items()})


def matrix_pipelines():
    from skl2onnx import to_onnx
    from sklearn import linear_model as linear
    from sklearn import preprocessing as prepare
    from sklearn.decomposition import PCA
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.multiclass import OneVsRestClassifier
    from sklearn.pipeline import make_pipeline
    names = np.array(["ash", "beech", "oak"])[CLASSES]
    both = np.stack([SCORE, SCORE * X[:, 0]], 1)
    log = linear.LogisticRegression
    plain = {"zipmap": False}
    cases = {
        "regression": (linear.LinearRegression(), SCORE, None),
        "ridge_targets": (linear.Ridge(), both, None),
        "lasso": (linear.Lasso(0.01), SCORE, None),
        "poisson": (linear.PoissonRegressor(), np.exp(SCORE / 2), None),
        "logistic": (log(), POSITIVE, {}),
        "logistic_names": (log(), names, plain),
        "softmax": (log(), CLASSES, plain),
        "softmax_zipmap": (log(), CLASSES + 3, {}),
        "one_vs_rest": (OneVsRestClassifier(log()), CLASSES, plain),
        "ridge_classifier": (linear.RidgeClassifier(), CLASSES, plain),
        "sgd_binary": (linear.SGDClassifier(loss="log_loss", random_state=1), POSITIVE, plain),
        "perceptron": (linear.Perceptron(random_state=1), POSITIVE, plain),
        "scaled": (make_pipeline(prepare.StandardScaler(), log()), POSITIVE, plain),
        "scaled_mean": (make_pipeline(prepare.StandardScaler(with_std=False), linear.Ridge()),
                        SCORE, None),
        "minmax": (make_pipeline(prepare.MinMaxScaler(), linear.Ridge()), SCORE, None),
        "maxabs": (make_pipeline(prepare.MaxAbsScaler(), linear.Ridge()), SCORE, None),
        "robust": (make_pipeline(prepare.RobustScaler(), linear.Ridge()), SCORE, None),
        "binarized": (make_pipeline(prepare.Binarizer(threshold=0.2), linear.Ridge()), SCORE,
                      None),
        "reduced": (make_pipeline(PCA(3), log()), CLASSES, plain),
        "imputed": (make_pipeline(SimpleImputer(), prepare.StandardScaler(), log()), POSITIVE,
                    plain),
        "scaled_forest": (make_pipeline(prepare.StandardScaler(),
                                        RandomForestClassifier(4, max_depth=4, random_state=1)),
                          names, plain),
    }
    for norm in ("l1", "l2", "max"):
        cases["normalized_" + norm] = (make_pipeline(prepare.Normalizer(norm), log()), CLASSES,
                                       plain)
    for name, (model, label, options) in cases.items():
        holes = X.copy()
        if name == "imputed":
            holes[rng.rand(*X.shape) < 0.1] = np.nan
        try:
            converted = to_onnx(model.fit(holes, label), X[:1], options=options)
        except (TypeError, ValueError, RuntimeError, NameError) as error:
            print("not converted:", name, str(error).splitlines()[0][:80])
            continue
        rows = rng.randn(24, FEATURES).astype(F32)
        rows[:3] = [0, 0, 0, 0, 0], [1e4] * 5, [-3, 2, 0.5, 1, -1]
        if name == "imputed":
            rows[rng.rand(*rows.shape) < 0.2] = np.nan
        save("linear", name, converted, {"X": rows})


def frame_pipelines():
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType, Int64TensorType, StringTensorType
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import GradientBoostingRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import Pipeline, make_pipeline
    from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler
    data = frame()
    types = {"age": FloatTensorType([None, 1]), "fare": FloatTensorType([None, 1]),
             "sex": StringTensorType([None, 1]), "port": StringTensorType([None, 1]),
             "cabins": Int64TensorType([None, 1])}
    numbers, texts, whole = ["age", "fare"], ["sex", "port"], ["cabins"]
    filled = make_pipeline(SimpleImputer(strategy="median"), StandardScaler())
    ordinal = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    one_hot = OneHotEncoder(handle_unknown="ignore")
    three = (np.nan_to_num(data["age"]) > 3).astype(int) + (data["sex"] == "f")
    cases = {
        "titanic": ([("n", filled, numbers), ("c", one_hot, texts)], LogisticRegression(),
                    data["sex"] == "f"),
        "titanic_classes": ([("n", filled, numbers), ("c", one_hot, texts)], LogisticRegression(),
                            np.array(["low", "middle", "high"])[three]),
        "ordinal": ([("n", filled, numbers), ("c", OrdinalEncoder(), texts)], Ridge(),
                    np.nan_to_num(data["fare"])),
        "whole": ([("n", make_pipeline(SimpleImputer(), MinMaxScaler()), ["age"]),
                   ("i", one_hot, whole)], Ridge(), np.nan_to_num(data["fare"])),
        "passed": ([("n", "passthrough", ["cabins"]), ("c", one_hot, ["port"])], Ridge(),
                   data["cabins"] * 2.0),
        "boosted": ([("n", filled, numbers), ("c", ordinal, ["port"])],
                    GradientBoostingRegressor(n_estimators=5, max_depth=3, random_state=1),
                    np.nan_to_num(data["fare"])),
    }
    for name, (columns, model, label) in cases.items():
        used = [column for _, _, part in columns for column in part]
        pipeline = Pipeline([("c", ColumnTransformer(columns)), ("m", model)])
        label = np.asarray(label)
        label = label.astype(int) if label.dtype == bool else label
        options = {id(pipeline): {"zipmap": False}} if hasattr(model, "classes_") or \
            isinstance(model, LogisticRegression) else None
        try:
            converted = convert_sklearn(pipeline.fit(data[used], label), options=options,
                                        initial_types=[(c, types[c]) for c in used])
        except (TypeError, ValueError, RuntimeError, NotImplementedError) as error:
            print("not converted:", name, str(error).splitlines()[0][:80])
            continue
        rows = mixed_rows()
        save("linear", name, converted, {column: rows[column] for column in used})


def main():
    for folder in ("trees", "linear"):
        (HERE / folder).mkdir(exist_ok=True)
        for old in (HERE / folder).iterdir():
            old.unlink()
    sklearn_trees()
    boosted_trees()
    hand_regressors()
    hand_classifiers()
    for aggregate in range(4):
        new_ensemble("five_%d" % aggregate, aggregate, 0, 1)
    for post in (0, 3):  # ONNX Runtime takes 1 and 2 for each other
        new_ensemble("five_targets_%d" % post, 1, post, 3)
    matrix_pipelines()
    frame_pipelines()
    for folder in ("trees", "linear"):
        files = list((HERE / folder).iterdir())
        print("%s: %d models, %d KiB" % (folder, len(files) // 2,
                                         sum(f.stat().st_size for f in files) // 1024))


main()
