"""What bad input gets: a status, one sentence that names the thing, a hint; the server lives on.

What could break: a crash, a hang, a half-done change, an error that says nothing. After each case
the same server answers a good request with the right number.
"""
import gzip
import json
import socket
import struct
import zlib

import pytest

from api import FIELDS, Api, golden_rows, read

ROWS, EXPECTED = golden_rows()
ROW = ROWS[0]
JSON_ROW = json.dumps(ROW)
VALUES = [ROW[name] for name in FIELDS]


@pytest.fixture(autouse=True)
def still_right(triage):
    """The server that met the bad input is the one that answers well afterwards."""
    pid = triage.pid
    yield
    reply = Api(triage.url).predict("triage", ROW)
    assert reply["predictions"][0]["probabilities"]["malignant"] == pytest.approx(EXPECTED[0])
    assert triage.pid == pid and triage.process.poll() is None


def send(api, path, body, headers=None):
    return api.call("POST", path, data=body, headers=headers or {})


def check_problem(reply, status, words):
    assert reply.status_code == status, reply.text
    problem = reply.json()
    assert problem["status"] == status
    assert problem["detail"].strip() and problem["request_id"]
    for word in words:
        assert word in problem["detail"] + problem.get("hint", ""), problem


def row_with(text):
    """The good row with its first value replaced by any text."""
    return JSON_ROW.replace(f'"mean_radius": {ROW["mean_radius"]}', f'"mean_radius": {text}')


BAD_JSON = {
    "empty": (b"", 400, ["empty"]),
    "a space": (b" ", 400, []),
    "truncated": (JSON_ROW[:100].encode(), 400, ["byte"]),
    "not JSON": (b"mean_radius=17", 400, ["byte"]),
    "no UTF-8": (b'{"mean_radius": "\xff\xfe"}', 400, ["UTF-8"]),
    "a NUL": (b'{"mean_radius": 1}\x00', 400, ["byte"]),
    "two documents": ((JSON_ROW + JSON_ROW).encode(), 400, ["byte"]),
    "a list": (b"[1, 2, 3]", 400, ["object"]),
    "a number": (b"17", 400, ["object"]),
    "no rows": (b'{"rows": []}', 400, ["rows"]),
    "a row that is none": (b'{"rows": [17]}', 400, ["row 0"]),
    "10,000 deep": (b"[" * 10000 + b"]" * 10000, 413, ["deep"]),
    "a million deep": (b'{"a":' * 1000000 + b"1" + b"}" * 1000000, 413, ["deep"]),
    "a key twice": (b'{"mean_radius": 1, "mean_radius": 2}', 400, ["mean_radius", "twice"]),
    "nan in C's spelling": (row_with("+nan").encode(), 400, ["byte"]),
    "100,001 rows": (b'{"rows": [' + b'{},' * 100000 + b'{}]}', 413, ["100000"]),
}


@pytest.mark.parametrize("case", BAD_JSON)
def test_json_that_is_none(triage, case):
    body, status, words = BAD_JSON[case]
    check_problem(send(triage.api, "/predict/triage", body), status, words)


BAD_ROWS = {
    "text for a number": (row_with('"seventeen"'), ["mean_radius", "seventeen"]),
    "true for a number": (row_with("true"), ["mean_radius"]),
    "a list for a number": (row_with("[17]"), ["mean_radius"]),
    "an object for a number": (row_with('{"mm": 17}'), ["mean_radius"]),
    "NaN for a number": (row_with("NaN"), ["mean_radius", "got NaN"]),
    "Infinity": (row_with("-Infinity"), ["mean_radius", "3.4e38"]),
    "a huge number": (row_with("1e999"), ["mean_radius", "3.4e38"]),
    "beyond float32": (row_with("1e39"), ["mean_radius", "3.4e38"]),
    "an unknown field": ('{"radius_mean": 1}', ["radius_mean"]),
    "an unknown field with control bytes": ('{"\\u0000\\u001b[31m": 1}', []),
    "an answer as input": ('{"prediction": "benign"}', ["prediction"]),
    "a long name": (json.dumps({"x" * 100000: 1}), []),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_rows_that_break_the_contract(triage, case):
    body, words = BAD_ROWS[case]
    check_problem(send(triage.api, "/predict/triage", body.encode()), 422, words)


def tensor(**changes):
    return {"name": "input", "shape": [1, 30], "datatype": "FP32", "data": VALUES, **changes}


def binary(size, **changes):
    return {"name": "input", "shape": [1, 30], "datatype": "FP32",
            "parameters": {"binary_data_size": size}, **changes}


BLOB = struct.pack("<30f", *VALUES)
BAD_TENSORS = {
    "no inputs": ({}, b"", "inputs"),
    "empty inputs": ({"inputs": []}, b"", "inputs"),
    "inputs is an object": ({"inputs": {}}, b"", "inputs"),
    "an input is a number": ({"inputs": [1]}, b"", "input"),
    "no name": ({"inputs": [{"shape": [1], "datatype": "FP32", "data": [1]}]}, b"", "name"),
    "no such datatype": ({"inputs": [tensor(datatype="FP31")]}, b"", "FP31"),
    "FP16 as JSON": ({"inputs": [tensor(datatype="FP16")]}, b"", "FP16"),
    "shape is text": ({"inputs": [tensor(shape="1x30")]}, b"", "shape"),
    "negative dimension": ({"inputs": [tensor(shape=[-1, 30])]}, b"", "shape"),
    "fractional dimension": ({"inputs": [tensor(shape=[1.5, 30])]}, b"", "shape"),
    "a shape that overflows": ({"inputs": [tensor(shape=[2**62, 30])]}, b"", "exceed"),
    "a shape that claims too much": ({"inputs": [tensor(shape=[3333, 30])]}, b"", "input"),
    "ten thousand dimensions": ({"inputs": [tensor(shape=[1] * 10000)]}, b"", "dimensions"),
    "too few elements": ({"inputs": [tensor(data=VALUES[:29])]}, b"", "30"),
    "uneven nesting": ({"inputs": [tensor(shape=[2, 30], data=[VALUES, VALUES[:29]])]}, b"",
                       "data"),
    "text elements": ({"inputs": [tensor(data=["x"] * 30)]}, b"", "element 0"),
    "the same input twice": ({"inputs": [
        {"name": "mean_area", "shape": [1], "datatype": "FP32", "data": [1]}] * 2}, b"",
        "mean_area"),
    "batches that differ": ({"inputs": [
        {"name": "mean_area", "shape": [1], "datatype": "FP32", "data": [1]},
        {"name": "mean_radius", "shape": [2], "datatype": "FP32", "data": [1, 2]}]}, b"",
        "mean_radius"),
    "data and binary at once": ({"inputs": [{**tensor(), "parameters": {"binary_data_size": 4}}]},
                                BLOB, "only one"),
    "neither": ({"inputs": [{"name": "input", "shape": [1, 30], "datatype": "FP32"}]}, b"",
                "only one"),
    "blob too short": ({"inputs": [binary(120)]}, BLOB[:-1], "120"),
    "blob too long": ({"inputs": [binary(120)]}, BLOB + b"x", "1 bytes"),
    "size and shape differ": ({"inputs": [binary(116)]}, BLOB[:116], "mismatch"),
    "size beyond everything": ({"inputs": [binary(2**63)]}, BLOB, "binary_data_size"),
    "negative size": ({"inputs": [binary(-1)]}, BLOB, "binary_data_size"),
    "BYTES for numbers": ({"inputs": [
        {"name": "mean_area", "shape": [1], "datatype": "BYTES", "data": ["1"]}]}, b"", "BYTES"),
    "shared memory": ({"inputs": [tensor(parameters={"shared_memory_region": "r"})]}, b"",
                      "shared memory"),
    "an output twice": ({"inputs": [tensor()],
                         "outputs": [{"name": "predict"}, {"name": "predict"}]}, b"", "predict"),
    "classification": ({"inputs": [tensor()], "outputs": [
        {"name": "predict", "parameters": {"classification": 0}}]}, b"", "classification"),
    "an id that is a number": ({"id": 7, "inputs": [tensor()]}, b"", "id"),
}


@pytest.mark.parametrize("case", BAD_TENSORS)
def test_tensors_that_are_wrong(triage, case):
    body, blob, word = BAD_TENSORS[case]
    head = json.dumps(body).encode()
    headers = {"Inference-Header-Content-Length": str(len(head))} if blob else {}
    reply = send(triage.api, "/v2/models/triage/infer", head + blob, headers)
    assert 400 <= reply.status_code < 500 or reply.status_code == 501, reply.text
    assert list(reply.json()) == ["error"]
    assert word in reply.json()["error"]


@pytest.mark.parametrize("length", ["0", "1", "99999999", "-1", "x", "1e3", "",
                                    "18446744073709551616"])
def test_lying_binary_header(triage, length):
    head = json.dumps({"inputs": [binary(120)]}).encode()
    reply = send(triage.api, "/v2/models/triage/infer", head + BLOB,
                 {"Inference-Header-Content-Length": length})
    assert reply.status_code == 400, reply.text
    assert reply.json()["error"]


def bytes_tensor(*lengths):
    return b"".join(struct.pack("<I", length) + b"x" for length in lengths)


@pytest.mark.parametrize("blob", [b"", b"\x01", bytes_tensor(2), bytes_tensor(0xffffffff),
                                  bytes_tensor(1, 1)])
def test_lying_lengths_inside_bytes_tensors(triage, blob):
    """One BYTES element: u32 length, then that many bytes."""
    head = json.dumps({"inputs": [{"name": "mean_area", "shape": [1], "datatype": "BYTES",
                                   "parameters": {"binary_data_size": len(blob)}}]}).encode()
    reply = send(triage.api, "/v2/models/triage/infer", head + blob,
                 {"Inference-Header-Content-Length": str(len(head))})
    assert reply.status_code == 400, reply.text


# ---- HTTP ----

def exchange(triage, data, timeout=20):
    """Bytes on a connection of its own; everything that comes back until the server closes."""
    with socket.create_connection(("127.0.0.1", triage.port), timeout) as sock:
        sock.sendall(data)
        sock.shutdown(socket.SHUT_WR)
        parts = []
        while part := sock.recv(65536):
            parts.append(part)
        return b"".join(parts)


def request(body, *headers, path="/predict/triage"):
    head = [f"POST {path} HTTP/1.1", "Host: localhost", *headers]
    return "\r\n".join([*head, "", ""]).encode() + body


LYING = {
    "longer than said": request(b'{"a":1}', "Content-Length: 100"),
    "two lengths": request(b"{}", "Content-Length: 2", "Content-Length: 3"),
    "length is text": request(b"{}", "Content-Length: two"),
    "length is negative": request(b"{}", "Content-Length: -2"),
    "length overflows": request(b"{}", "Content-Length: 99999999999999999999"),
    "length and chunks": request(b"2\r\n{}\r\n0\r\n\r\n", "Content-Length: 2",
                                 "Transfer-Encoding: chunked"),
    "unknown transfer coding": request(b"{}", "Transfer-Encoding: gzip"),
    "chunk size is text": request(b"zz\r\n{}\r\n0\r\n\r\n", "Transfer-Encoding: chunked"),
    "a space before the colon": request(b"{}", "Content-Length : 2"),
    "not HTTP": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}


@pytest.mark.parametrize("case", LYING)
def test_heads_that_lie(triage, case):
    answer = exchange(triage, LYING[case])
    statuses = [line for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1")]
    assert len(statuses) <= 1, answer
    assert b"predictions" not in answer
    if case != "longer than said":
        assert statuses and statuses[0].split()[1] in (b"400", b"413", b"501"), answer


def test_a_body_over_the_limit_is_413_before_it_is_sent(triage):
    """Announced only: the answer comes without a byte of the body."""
    answer = exchange(triage, request(b"", f"Content-Length: {17 * 1024 * 1024}"))
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_gigantic_model_file_is_413_before_it_is_sent(triage):
    """300 MB announced, with `Expect: 100-continue` as curl does it: no 100, no upload."""
    head = (f"PUT /api/blobs/{'0' * 64} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
            f"Content-Length: {300 * 1024 * 1024}\r\n\r\n").encode()
    answer = exchange(triage, head)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"limit_exceeded" in answer


def test_a_head_over_the_limit_is_431(triage):
    answer = exchange(triage, request(b"{}", "Content-Length: 2", "X-Long: " + "x" * 70000))
    assert answer.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("coding,pack", [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_zip_bombs(triage, coding, pack):
    """100 MB of spaces in 100 KB; the limit is 64 MB."""
    reply = send(triage.api, "/predict/triage", pack(b" " * 100_000_000),
                 {"Content-Encoding": coding})
    assert reply.status_code == 413, reply.text


def test_packed_bodies_are_taken_and_broken_ones_are_not(triage):
    good = gzip.compress(JSON_ROW.encode())
    path = "/predict/triage"
    assert send(triage.api, path, good, {"Content-Encoding": "gzip"}).status_code == 200
    for body in (good[:-9], good[:20] + b"\x00" * 20 + good[40:], b"plain"):
        reply = send(triage.api, path, body, {"Content-Encoding": "gzip"})
        assert reply.status_code == 400, reply.text
    reply = send(triage.api, path, good, {"Content-Encoding": "br"})
    assert reply.status_code == 415
    assert "gzip" in reply.headers["Accept-Encoding"]


@pytest.mark.parametrize("path", [
    "/predict/a%2Fb", "/predict/..%2f..%2fetc", "/predict/a%00b", "/predict/", "/predict/%zz",
    "/predict/triage/versions/../1", "/predict/" + "x" * 5000, "/%ff", "//predict/triage"])
def test_odd_paths_are_answered(triage, path):
    answer = exchange(triage, request(JSON_ROW.encode(), f"Content-Length: {len(JSON_ROW)}",
                                      "Connection: close", path=path))
    status = int(answer.split()[1])
    assert status in (400, 404, 414), answer


def test_wrong_method_is_405_with_allow(triage):
    reply = triage.api.call("DELETE", "/predict/triage", 405)
    assert reply.headers["Allow"] == "POST, GET"


# ---- model files ----

MODEL = read("model.ubj")


def cyclic():
    """A tree whose left child is its own root."""
    tree = {"base_weights": [0.0] * 3, "left_children": [0, -1, -1], "right_children": [2, -1, -1],
            "parents": [2147483647, 0, 0], "split_conditions": [0.5, 0.1, 0.2],
            "split_indices": [0, 0, 0], "split_type": [0, 0, 0], "default_left": [0, 0, 0],
            "categories": [], "categories_nodes": [], "categories_segments": [],
            "categories_sizes": [], "loss_changes": [0.0] * 3, "sum_hessian": [1.0] * 3, "id": 0,
            "tree_param": {"num_deleted": "0", "num_feature": "30", "num_nodes": "3",
                           "size_leaf_vector": "1"}}
    booster = {"name": "gbtree", "model": {
        "gbtree_model_param": {"num_parallel_tree": "1", "num_trees": "1"},
        "iteration_indptr": [0, 1], "tree_info": [0], "trees": [tree]}}
    learner = {"attributes": {}, "feature_names": [], "feature_types": [],
               "gradient_booster": booster,
               "learner_model_param": {"base_score": "5E-1", "boost_from_average": "1",
                                       "num_class": "0", "num_feature": "30", "num_target": "1"},
               "objective": {"name": "binary:logistic",
                             "reg_loss_param": {"scale_pos_weight": "1"}}}
    return json.dumps({"learner": learner, "version": [3, 2, 0]}).encode()


BAD_MODELS = {
    "cut at 1": MODEL[:1],
    "cut at 1,000": MODEL[:1000],
    "cut before its end": MODEL[:-1],
    "a flipped byte at the head": b"[" + MODEL[1:],
    "nonsense behind": MODEL + b"more",
    "an array that claims 2^62 elements": MODEL.replace(b"[$", b"[#L\x40" + bytes(7) + b"[$", 1),
    "a tree that is a ring": cyclic(),
    "JSON 100,000 deep": b'{"learner":' * 100000,
    "a pickle": b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94",
    "only zeros": bytes(100000),
}


@pytest.mark.parametrize("case", BAD_MODELS)
def test_model_files_that_are_none(triage, case):
    before = triage.api.get("/api/models").json()
    problem = triage.api.register("bad", BAD_MODELS[case], read("contract.yaml"), expect=None)
    assert 400 <= problem["status"] < 500, problem
    assert problem["detail"]
    assert triage.api.get("/api/models").json() == before
