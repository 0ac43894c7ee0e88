"""ONNX models with inputs and the outputs that their own libraries give.

    python3 -m venv VENV && VENV/bin/pip install -r tests/golden/onnx/requirements.txt
    VENV/bin/python tests/golden/onnx/make.py

writes a folder a model beside itself: model.onnx, and input_N.pb and output_N.pb, each a
TensorProto with its name, the way the ONNX project keeps its cases. Outputs come from scikit-learn
(its float32 answers are compared within 1e-5), from numpy, or stand in the line that makes the
model.
"""
import pathlib
import shutil

import ml_dtypes
import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.ensemble import GradientBoostingRegressor, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import SVC

HERE = pathlib.Path(__file__).parent
OPSET = 17


def tensor(name, array):
    array = np.asarray(array)
    if array.dtype.kind in "UO":
        return helper.make_tensor(name, TensorProto.STRING, array.shape,
                                  [s.encode() for s in array.ravel()])
    return numpy_helper.from_array(array, name)


def unzipped(model, name):
    """The name of an output, or of the tensor that a ZipMap makes it from."""
    made = {node.output[0]: node for node in model.graph.node if node.op_type == "ZipMap"}
    return made[name].input[0] if name in made else name


def write(name, model, inputs, outputs):
    folder = HERE / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    outputs = {unzipped(model, name): value for name, value in outputs.items()}
    for kind, values in (("input", inputs), ("output", outputs)):
        for i, (key, value) in enumerate(values.items()):
            (folder / f"{kind}_{i}.pb").write_bytes(tensor(key, value).SerializeToString())


# --- scikit-learn ---------------------------------------------------------------------------


def classifier(name, model, data, labels=None, zipmap=True, dtype=np.float32):
    x = data.data[:, :8].astype(dtype)
    y = data.target if labels is None else np.array(labels)[data.target]
    model.fit(x, y)
    options = {id(model): {"zipmap": zipmap}}
    if hasattr(model, "steps"):
        options = {id(model.steps[-1][1]): {"zipmap": zipmap}}
    graph = to_onnx(model, x[:1], options=options, target_opset=OPSET)
    label, probability = (o.name for o in graph.graph.output)
    rows = x[::7]
    write(name, graph, {"X": rows}, {label: model.predict(rows),
                                     probability: model.predict_proba(rows).astype(np.float32)})


def regressor(name, model, dtype=np.float32):
    data = load_diabetes()
    x = data.data.astype(dtype)
    model.fit(x, data.target)
    graph = to_onnx(model, x[:1], target_opset=OPSET)
    rows = x[::11]
    write(name, graph, {"X": rows}, {"variable": model.predict(rows).astype(dtype).reshape(-1, 1)})


def columns():
    """Texts and numbers as inputs of their own, one column each."""
    rng = np.random.default_rng(1)
    city = rng.choice(["Bern", "Genf", "Zürich"], 200)
    age, income = rng.normal(40, 10, 200), rng.normal(5, 2, 200)
    y = (age / 10 + income + (city == "Bern") > 9).astype(np.int64)
    frame = pd.DataFrame({"city": city, "age": age.astype(np.float32),
                          "income": income.astype(np.float32)})
    pipe = make_pipeline(ColumnTransformer([("c", OneHotEncoder(), ["city"]),
                                            ("n", StandardScaler(), ["age", "income"])]),
                         LogisticRegression())
    pipe.fit(frame, y)
    types = [("city", StringTensorType([None, 1])), ("age", FloatTensorType([None, 1])),
             ("income", FloatTensorType([None, 1]))]
    graph = to_onnx(pipe, initial_types=types, target_opset=OPSET)
    rows = frame[::9]
    write("skl_columns", graph,
          {"city": rows[["city"]].to_numpy().astype(str), "age": rows[["age"]].to_numpy(),
           "income": rows[["income"]].to_numpy()},
          {"output_label": pipe.predict(rows),
           "output_probability": pipe.predict_proba(rows).astype(np.float32)})


def clusters():
    x = load_iris().data.astype(np.float32)
    model = KMeans(3, n_init=1, random_state=0).fit(x)
    graph = to_onnx(model, x[:1], target_opset=OPSET)
    rows = x[::7]
    write("skl_kmeans", graph, {"X": rows}, {"label": model.predict(rows).astype(np.int64)})


# --- by hand -----------------------------------------------------------------------------------


FLOAT, DOUBLE, INT64 = TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.INT64
node = helper.make_node


def value(name, kind, shape):
    return helper.make_tensor_value_info(name, kind, shape)


def floats(*numbers):
    return np.array(numbers, np.float32)


def build(nodes, inputs, outputs, initializers=(), functions=(), domains=()):
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(initializers))
    opsets = [helper.make_opsetid("", OPSET)] + [helper.make_opsetid(d, 1) for d in domains]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=list(functions))


def network():
    """30-64-64-2 with a softmax, as the bench serves it."""
    rng = np.random.default_rng(2)
    sizes = [30, 64, 64, 2]
    nodes, weights, last = [], [], "input"
    x = rng.normal(size=(16, 30)).astype(np.float32)
    h = x.astype(np.float64)
    for i, (a, b) in enumerate(zip(sizes, sizes[1:])):
        w = (rng.normal(size=(a, b)) / np.sqrt(a)).astype(np.float32)
        bias = rng.normal(size=b).astype(np.float32) / 10
        weights += [tensor(f"w{i}", w), tensor(f"b{i}", bias)]
        nodes.append(node("Gemm", [last, f"w{i}", f"b{i}"], [f"z{i}"]))
        h = h @ w.astype(np.float64) + bias
        last = f"z{i}"
        if b != 2:
            nodes.append(node("Relu", [last], [f"a{i}"]))
            h, last = np.maximum(h, 0), f"a{i}"
    nodes.append(node("Softmax", [last], ["probabilities"], axis=1))
    p = np.exp(h - h.max(1, keepdims=True))
    model = build(nodes, [value("input", FLOAT, ["batch", 30])],
                  [value("probabilities", FLOAT, ["batch", 2])], weights)
    p /= p.sum(1, keepdims=True)
    write("mlp", model, {"input": x}, {"probabilities": p.astype(np.float32)})


def sigmoid():
    w = np.array([[1], [-2], [0.5]], np.float32)
    x = np.array([[1, 2, 3], [0, 0, 0], [-1, -2, -3]], np.float32)
    nodes = [node("MatMul", ["x", "w"], ["z"]), node("Sigmoid", ["z"], ["p"])]
    model = build(nodes, [value("x", FLOAT, ["n", 3])],
                  [value("p", FLOAT, ["n", 1])], [tensor("w", w)])
    write("sigmoid", model, {"x": x}, {"p": 1 / (1 + np.exp(-(x @ w)))})


def identity_of_all():
    """Every type a request can carry, through a node that changes nothing."""
    samples = {
        "bool": np.array([[True, False, True]]), "u8": np.array([[0, 1, 255]], np.uint8),
        "u16": np.array([[0, 1, 65535]], np.uint16), "u32": np.array([[0, 2**32 - 1]], np.uint32),
        "u64": np.array([[0, 2**64 - 1]], np.uint64), "i8": np.array([[-128, 127]], np.int8),
        "i16": np.array([[-32768, 32767]], np.int16),
        "i32": np.array([[-2**31, 2**31 - 1]], np.int32),
        "i64": np.array([[-2**63, 2**63 - 1]], np.int64),
        "f16": np.array([[0.5, -65504, 6e-8]], np.float16),
        "bf16": np.array([[0.5, -3e38, 1e-38]], ml_dtypes.bfloat16),
        "f32": np.array([[0.1, -3e38, 1e-45]], np.float32),
        "f64": np.array([[0.1, -1e308, 5e-324]], np.float64),
        "text": np.array([["", "a\0b", "Zürich"]]),
    }
    nodes, ins, outs = [], [], []
    for key, sample in samples.items():
        kind = TensorProto.STRING if key == "text" else numpy_helper.from_array(sample).data_type
        ins.append(value(key, kind, ["n", "m_" + key]))
        outs.append(value(key + "_out", kind, ["n", "m_" + key]))
        nodes.append(node("Identity", [key], [key + "_out"]))
    write("every_type", build(nodes, ins, outs), samples,
          {key + "_out": sample for key, sample in samples.items()})


def scalars():
    nodes = [node("Add", ["a", "b"], ["sum"]), node("ReduceMax", ["v"], ["max"], keepdims=0)]
    model = build(nodes,
                  [value("a", DOUBLE, []), value("b", DOUBLE, []), value("v", INT64, ["n"])],
                  [value("sum", DOUBLE, []), value("max", INT64, [])])
    write("scalars", model, {"a": np.float64(2), "b": np.float64(40), "v": np.array([3, 9, 4])},
          {"sum": np.float64(42), "max": np.int64(9)})


def preset():
    """y = x * scale, where scale is 10 unless the caller gives one."""
    model = build([node("Mul", ["x", "scale"], ["y"])],
                  [value("x", FLOAT, ["n"]), value("scale", FLOAT, [1])],
                  [value("y", FLOAT, ["n"])], [tensor("scale", floats(10))])
    write("preset", model, {"x": floats(1, 2)}, {"y": floats(10, 20)})
    write("preset_given", model, {"x": floats(1, 2), "scale": floats(3)}, {"y": floats(3, 6)})


def mean_of_batch():
    """Rows depend on one another: requests of it may not be joined."""
    nodes = [node("ReduceMean", ["x"], ["m"], axes=[0], keepdims=1),
             node("Sub", ["x", "m"], ["y"])]
    model = build(nodes, [value("x", FLOAT, ["n", 2])],
                  [value("y", FLOAT, ["n", 2])])
    write("mean_of_batch", model, {"x": np.array([[1, 2], [3, 6]], np.float32)},
          {"y": np.array([[-1, -2], [1, 2]], np.float32)})


def loop():
    """x doubled `times` times: how long it takes is in the input."""
    body = helper.make_graph(
        [node("Identity", ["go"], ["go_out"]), node("Add", ["v", "v"], ["v_out"])], "body",
        [value("i", INT64, []), value("go", TensorProto.BOOL, []), value("v", FLOAT, [1])],
        [value("go_out", TensorProto.BOOL, []), value("v_out", FLOAT, [1])])
    model = build([node("Loop", ["times", "", "x"], ["y"], body=body)],
                  [value("times", INT64, []), value("x", FLOAT, [1])],
                  [value("y", FLOAT, [1])])
    write("loop", model, {"times": np.int64(10), "x": floats(1)}, {"y": floats(1024)})


def function():
    """An operator of its own that the file defines itself."""
    twice = helper.make_function("local", "Twice", ["a"], ["b"],
                                 [node("Add", ["a", "a"], ["b"])],
                                 [helper.make_opsetid("", OPSET)])
    model = build([node("Twice", ["x"], ["y"], domain="local")],
                  [value("x", FLOAT, ["n"])], [value("y", FLOAT, ["n"])],
                  functions=[twice], domains=["local"])
    write("function", model, {"x": floats(1, 2, 3)}, {"y": floats(2, 4, 6)})


def unshaped():
    """An output whose shape the file does not say."""
    out = onnx.ValueInfoProto(name="y")
    out.type.tensor_type.elem_type = TensorProto.FLOAT
    model = build([node("Reshape", ["x", "shape"], ["y"])],
                  [value("x", FLOAT, ["n", 4])], [out],
                  [tensor("shape", np.array([-1, 2, 2], np.int64))])
    write("unshaped", model, {"x": np.arange(8, dtype=np.float32).reshape(2, 4)},
          {"y": np.arange(8, dtype=np.float32).reshape(2, 2, 2)})


def refused():
    """Files that must not load, each with its reason."""
    folder = HERE / "refused"
    folder.mkdir(exist_ok=True)
    plain = [value("x", FLOAT, [1])], [value("y", FLOAT, [1])]
    magic = node("Magic", ["x"], ["y"], domain="com.example")
    custom = build([magic], *plain, domains=["com.example"])
    (folder / "custom_operator.onnx").write_bytes(custom.SerializeToString())
    weight = TensorProto(name="w", data_type=FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    weight.external_data.add(key="location", value="../../../etc/hostname")
    outside = build([node("Add", ["x", "w"], ["y"])], *plain, [weight])
    (folder / "external_data.onnx").write_bytes(outside.SerializeToString())
    four_bytes = TensorProto(name="w", data_type=FLOAT, dims=[1 << 40], raw_data=b"abcd")
    short = build([node("Add", ["x", "w"], ["y"])], *plain, [four_bytes])
    (folder / "short_tensor.onnx").write_bytes(short.SerializeToString())
    sequence = build([node("SequenceConstruct", ["x"], ["y"])], plain[0],
                     [helper.make_tensor_sequence_value_info("y", FLOAT, [1])])
    (folder / "sequence_output.onnx").write_bytes(sequence.SerializeToString())


def small_images():
    """A pooling window larger than the image: ONNX Runtime 1.32 divides by zero when it lays images
    out in blocks of channels. One for images of any size, one for this size."""
    folder = HERE / "small_image"
    folder.mkdir(exist_ok=True)
    weight = tensor("w", np.full((16, 16, 1, 1), 0.1, np.float32))
    for name, height, width in (("any_size", "h", "w"), ("fixed_size", 1, 26)):
        out = onnx.ValueInfoProto(name="y")
        out.type.tensor_type.elem_type = FLOAT
        model = build([node("Conv", ["x", "w"], ["c"]),
                       node("MaxPool", ["c"], ["y"], kernel_shape=[3, 3], strides=[2, 2])],
                      [value("x", FLOAT, [1, 16, height, width])], [out], [weight])
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString())


def main():
    iris, cancer = load_iris(), load_breast_cancer()
    classifier("skl_logistic", LogisticRegression(max_iter=500), iris)
    classifier("skl_forest_texts", RandomForestClassifier(10, max_depth=4, random_state=0), cancer,
               labels=["malignant", "benign"])
    classifier("skl_scaled_matrix", make_pipeline(StandardScaler(), LogisticRegression()), cancer,
               zipmap=False)
    classifier("skl_mlp", MLPClassifier((8,), max_iter=300, random_state=0), iris)
    classifier("skl_bayes", GaussianNB(), iris)
    classifier("skl_svc", SVC(probability=True, random_state=0), iris, zipmap=False)
    regressor("skl_boosting", GradientBoostingRegressor(n_estimators=20, random_state=0))
    regressor("skl_neighbors_f64", KNeighborsRegressor(), dtype=np.float64)
    columns()
    clusters()
    for make in (network, sigmoid, identity_of_all, scalars, preset, mean_of_batch, loop, function,
                 unshaped, refused, small_images):
        make()


main()
