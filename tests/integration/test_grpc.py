"""gRPC by the clients people have: tritonclient, grpcio's health and reflection, unmodified.

What could break: numbers that differ from REST's, an error that a client cannot tell from another,
a stream that mixes up its answers, a server that waits for its streams when it is to end.
"""
import queue
import threading

import numpy as np
import pytest

from api import Api, register_triage
from server import PATIENCE
from test_lane import SLOW, register
from test_tls import Secure

grpc = pytest.importorskip("grpc")
from google.protobuf.descriptor_pool import DescriptorPool  # noqa: E402
from grpc_health.v1 import health_pb2, health_pb2_grpc  # noqa: E402
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (  # noqa: E402
    ProtoReflectionDescriptorDatabase)
from tritonclient import grpc as triton  # noqa: E402
from tritonclient.grpc import model_config_pb2, service_pb2, service_pb2_grpc  # noqa: E402
from tritonclient.utils import InferenceServerException, triton_to_np_dtype  # noqa: E402

SECONDS_MAX = 10 * PATIENCE


@pytest.fixture(scope="module")
def address(triage):
    return f"127.0.0.1:{triage.port}"


@pytest.fixture
def client(address):
    with triton.InferenceServerClient(address) as client:
        yield client


@pytest.fixture
def channel(address):
    with grpc.insecure_channel(address) as channel:
        yield channel


@pytest.fixture
def stub(channel):
    return service_pb2_grpc.GRPCInferenceServiceStub(channel)


@pytest.fixture(scope="module")
def golden(root):
    """Held-out rows, and the probabilities that XGBoost gave them."""
    rows = np.loadtxt(root / "examples/triage/golden.csv", delimiter=",", skiprows=1,
                      dtype=np.float32)
    return np.ascontiguousarray(rows[:, :30]), rows[:, 30]


def tensor(rows):
    made = triton.InferInput("input", list(rows.shape), "FP32")
    made.set_data_from_numpy(rows)
    return made


def request(rows, model="triage", version="2"):
    """ModelInferRequest with typed contents, which tritonclient never sends."""
    message = service_pb2.ModelInferRequest(model_name=model, model_version=version)
    made = message.inputs.add(name="input", datatype="FP32", shape=rows.shape)
    made.contents.fp32_contents.extend(rows.ravel().tolist())
    return message


def test_answers_are_those_of_the_reference(client, stub, golden):
    rows, expected = golden
    answer = client.infer("triage", [tensor(rows)], model_version="2", request_id="mine")
    assert answer.get_response().id == "mine"
    assert answer.get_response().model_version == "2"
    np.testing.assert_array_equal(answer.as_numpy("predict"), expected)
    for algorithm in ["gzip", "deflate"]:
        packed = client.infer("triage", [tensor(rows)], model_version="2",
                              compression_algorithm=algorithm)
        np.testing.assert_array_equal(packed.as_numpy("predict"), expected)
    typed = stub.ModelInfer(request(rows))
    assert list(typed.outputs[0].contents.fp32_contents) == [float(x) for x in expected]
    assert not typed.raw_output_contents
    wanted = [triton.InferRequestedOutput("margin")]
    answer = client.infer("triage", [tensor(rows)], model_version="2", outputs=wanted)
    np.testing.assert_allclose(1 / (1 + np.exp(-answer.as_numpy("margin").astype(np.float64))),
                               expected, rtol=1e-6)
    assert answer.as_numpy("predict") is None


def test_what_there_is_can_be_asked(client, triage):
    assert client.is_server_live() and client.is_server_ready()
    assert client.is_model_ready("triage") and client.is_model_ready("triage", "1")
    assert not client.is_model_ready("none") and not client.is_model_ready("triage", "99")
    assert client.get_server_metadata().name == "slipway"
    metadata = client.get_model_metadata("triage", as_json=True)
    rest = triage.api.get("/v2/models/triage").json()
    for key in ["name", "versions", "platform"]:
        assert metadata[key] == rest[key]
    shape = [int(size) for size in metadata["inputs"][0]["shape"]]
    assert shape == rest["inputs"][0]["shape"] == [-1, 30]
    config = client.get_model_config("triage").config
    assert config.input[0].data_type == model_config_pb2.TYPE_FP32 and config.input[0].dims == [30]
    index = client.get_model_repository_index()
    assert ("triage", "READY") in [(model.name, model.state) for model in index.models]


def test_statistics_count(client, golden):
    rows, _ = golden
    before = client.get_inference_statistics("triage", "2").model_stats[0]
    client.infer("triage", [tensor(rows[:3])], model_version="2")
    after = client.get_inference_statistics("triage", "2").model_stats[0]
    assert after.inference_count - before.inference_count == 3
    assert after.inference_stats.success.count - before.inference_stats.success.count == 1


def test_errors_have_the_code_that_clients_expect(stub, channel, golden):
    rows, _ = golden
    bad = rows[:1].copy()
    bad[0, 0] = np.nan
    cases = [(request(rows[:1], "none"), "NOT_FOUND"),
             (request(rows[:1], version="99"), "NOT_FOUND"),
             (request(rows[:1, :7]), "INVALID_ARGUMENT"), (request(bad), "INVALID_ARGUMENT"),
             (service_pb2.ModelInferRequest(model_name="triage"), "INVALID_ARGUMENT")]
    for message, code in cases:
        with pytest.raises(grpc.RpcError) as error:
            stub.ModelInfer(message)
        assert error.value.code().name == code, error.value.details()
    with pytest.raises(grpc.RpcError) as error:
        stub.ModelInfer(request(bad))
    details = dict(error.value.trailing_metadata())["grpc-status-details-bin"]
    assert b"google.rpc.BadRequest" in details and b"mean_radius" in details
    assert "expected a number" in error.value.details()
    with pytest.raises(grpc.RpcError) as error:
        stub.CudaSharedMemoryStatus(service_pb2.CudaSharedMemoryStatusRequest())
    assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED
    with pytest.raises(grpc.RpcError) as error:
        channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")(b"\x0a\x7f")
    assert error.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_message_that_is_too_large(make_server):
    server = make_server("--http-body-bytes-max", "64K", "--http-inflated-bytes-max", "64K")
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        call = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
        for compression in [grpc.Compression.NoCompression, grpc.Compression.Gzip]:
            with pytest.raises(grpc.RpcError) as error:
                call(bytes(70000), compression=compression)
            assert error.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        assert health_pb2_grpc.HealthStub(channel).Check(
            health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING


def test_a_stream_answers_in_order_and_outlives_errors(client, golden):
    rows, expected = golden
    answers = queue.Queue()
    client.start_stream(callback=lambda result, error: answers.put((result, error)))
    for i in range(200):
        client.async_stream_infer("none" if i % 7 == 3 else "triage", [tensor(rows[i % 20:])],
                                  model_version="2", request_id=str(i))
    for i in range(200):
        result, error = answers.get(timeout=SECONDS_MAX)
        if i % 7 == 3:
            assert isinstance(error, InferenceServerException) and "unknown model" in str(error)
            continue
        assert error is None and result.get_response().id == str(i)
        np.testing.assert_array_equal(result.as_numpy("predict"), expected[i % 20:])
    client.stop_stream()


def test_large_answers_wait_for_the_client(client, golden):
    """50,000 rows a message: each answer is 200 KB, far more than one window of them waits."""
    rows = np.repeat(golden[0][:1], 50000, axis=0)
    answers = queue.Queue()
    client.start_stream(callback=lambda result, error: answers.put((result, error)))
    for _ in range(20):
        client.async_stream_infer("triage", [tensor(rows)], model_version="2")
    for _ in range(20):
        result, error = answers.get(timeout=3 * SECONDS_MAX)
        assert error is None
        np.testing.assert_array_equal(result.as_numpy("predict"), np.repeat(golden[1][:1], 50000))
    client.stop_stream()


@pytest.mark.parametrize("algorithm", ["Gzip", "Deflate"])
def test_answers_are_packed_as_requests_are(triage, stub, golden, algorithm):
    """8,000 equal rows: 32 KB of one number, which pack to almost nothing; ten answers of them.

    Each look at the count is some 36 KB, and counted when it has been sent, maybe by the next look.
    """
    rows = request(np.repeat(golden[0][:1], 8000, axis=0))
    sent = []
    for compression in [grpc.Compression.NoCompression, getattr(grpc.Compression, algorithm)]:
        before = bytes_out(triage)
        for _ in range(5):
            answer = stub.ModelInfer(rows, compression=compression)
            np.testing.assert_array_equal(answer.outputs[0].contents.fp32_contents,
                                          np.repeat(golden[1][:1], 8000))
            (streamed,) = stub.ModelStreamInfer(iter([rows]), compression=compression)
            assert streamed.infer_response.outputs == answer.outputs
        sent.append(bytes_out(triage) - before)
    assert sent[0] - sent[1] > 8 * 32000 - 36000


def bytes_out(server):
    return next(float(line.rsplit(" ", 1)[1]) for line in server.get("/metrics")[1].splitlines()
                if line.startswith("slipway_http_sent_bytes_total "))


def test_health(channel):
    health = health_pb2_grpc.HealthStub(channel)
    serving = health_pb2.HealthCheckResponse.SERVING
    assert health.Check(health_pb2.HealthCheckRequest()).status == serving
    name = "inference.GRPCInferenceService"
    assert health.Check(health_pb2.HealthCheckRequest(service=name)).status == serving
    with pytest.raises(grpc.RpcError) as error:
        health.Check(health_pb2.HealthCheckRequest(service="none"))
    assert error.value.code() == grpc.StatusCode.NOT_FOUND
    watch = health.Watch(health_pb2.HealthCheckRequest())
    assert next(watch).status == serving
    watch.cancel()
    unknown = health.Watch(health_pb2.HealthCheckRequest(service="none"))
    assert next(unknown).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
    unknown.cancel()


def test_open_streams_do_not_hold_up_the_end(make_server):
    server = make_server()
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        over = threading.Event()
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        stream = stub.ModelStreamInfer(iter(lambda: over.wait(SECONDS_MAX) and None, None))
        assert server.stop() == 0
        seen = []
        with pytest.raises(grpc.RpcError) as error:
            seen.extend(answer.status for answer in watch)
        assert error.value.code() == grpc.StatusCode.UNAVAILABLE
        with pytest.raises(grpc.RpcError) as error:
            next(stream)
        assert error.value.code() == grpc.StatusCode.UNAVAILABLE
        over.set()


def test_reflection_says_what_tritons_own_description_says(channel):
    database = ProtoReflectionDescriptorDatabase(channel)
    assert "inference.GRPCInferenceService" in database.get_services()
    pool = DescriptorPool(database)
    service = pool.FindServiceByName("inference.GRPCInferenceService")
    theirs = service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"]
    assert len(service.methods) == 14
    for method in service.methods:
        other = theirs.methods_by_name[method.name]
        assert method.input_type.full_name == other.input_type.full_name
        assert method.output_type.full_name == other.output_type.full_name
    messages = pool.FindFileByName("grpc_service.proto").message_types_by_name.values()
    assert len(messages) > 20
    for message in messages:
        known = {**model_config_pb2.DESCRIPTOR.message_types_by_name,
                 **service_pb2.DESCRIPTOR.message_types_by_name}
        check_same(message, known[message.name])
    for version in ["v1", "v1alpha"]:
        assert pool.FindServiceByName(f"grpc.reflection.{version}.ServerReflection")
    ours = pool.FindMessageTypeByName("grpc.health.v1.HealthCheckResponse")
    check_same(ours, health_pb2.HealthCheckResponse.DESCRIPTOR)


def check_same(message, other):
    for field in message.fields:
        theirs = other.fields_by_name[field.name]
        assert (field.number, field.type, field.is_repeated) == (
            theirs.number, theirs.type, theirs.is_repeated), f"{message.name}.{field.name}"
        if field.message_type:
            assert field.message_type.full_name == theirs.message_type.full_name
    for nested in message.nested_types:
        check_same(nested, other.nested_types_by_name[nested.name])


def test_keys_and_tls(make_server, tmp_path):
    secure = Secure(make_server, tmp_path)
    narrow = secure.server.cli("key", "create", "reader", "--scope", "observe").out.strip()
    credentials = grpc.ssl_channel_credentials(secure.cert.read_bytes())
    with grpc.secure_channel(f"localhost:{secure.server.port}", credentials) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        ask = service_pb2.ServerMetadataRequest()
        for metadata, code in [([], "UNAUTHENTICATED"),
                               ([("authorization", "Bearer slw_wrong")], "UNAUTHENTICATED"),
                               ([("authorization", f"Bearer {narrow}")], "PERMISSION_DENIED")]:
            with pytest.raises(grpc.RpcError) as error:
                stub.ServerMetadata(ask, metadata=metadata)
            assert error.value.code().name == code
            with pytest.raises(grpc.RpcError) as error:
                next(stub.ModelStreamInfer(iter([]), metadata=metadata))
            assert error.value.code().name == code
        metadata = [("authorization", f"Bearer {secure.token}")]
        assert stub.ServerMetadata(ask, metadata=metadata).name == "slipway"
        assert stub.ServerLive(service_pb2.ServerLiveRequest()).live


def test_who_calls_over_http1_is_told_so(triage):
    answer = triage.api.post("/inference.GRPCInferenceService/ModelInfer", {}, 501)
    assert "HTTP/2" in answer.json()["detail"]


def test_classes_instead_of_numbers(client, golden):
    rows, expected = golden
    wanted = [triton.InferRequestedOutput("predict", class_count=2)]
    answer = client.infer("triage", [tensor(rows[:3])], model_version="2", outputs=wanted)
    for row, probability in zip(answer.as_numpy("predict"), expected[:3]):
        best = row[0].decode().split(":")
        assert int(best[1]) == int(probability > 0.5)
        assert float(best[0]) == pytest.approx(max(probability, 1 - probability), rel=1e-5)


VALUES = {"BOOL": [True, False], "UINT8": [0, 255], "UINT16": [0, 2**16 - 1],
          "UINT32": [0, 2**32 - 1], "UINT64": [0, 2**64 - 1], "INT8": [-128, 127],
          "INT16": [-2**15, 2**15 - 1], "INT32": [-2**31, 2**31 - 1], "INT64": [-2**63, 2**63 - 1],
          "FP16": [0.5, -2.0], "FP32": [0.1, -3e38], "FP64": [0.1, -1e300],
          "BYTES": [b"\x00\xff", b""]}
CONTENTS = {"BOOL": "bool_contents", "UINT8": "uint_contents", "UINT16": "uint_contents",
            "UINT32": "uint_contents", "UINT64": "uint64_contents", "INT8": "int_contents",
            "INT16": "int_contents", "INT32": "int_contents", "INT64": "int64_contents",
            "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents"}


@pytest.fixture(scope="module")
def echo(triage):
    """A model that answers with its inputs, one of each datatype, all optional."""
    lines = "".join(f"  - {{name: {name}, datatype: {name}, shape: [-1], optional: true}}\n"
                    for name in VALUES)
    triage.api.register("echo", f"echo:\n  inputs:\n{lines}".encode())
    triage.api.set_alias("echo", "champion", 1)


@pytest.mark.parametrize("datatype", VALUES)
def test_every_datatype_comes_back(client, stub, echo, datatype):
    values = VALUES[datatype]
    array = np.array(values, dtype=np.object_ if datatype == "BYTES"
                     else triton_to_np_dtype(datatype))
    made = triton.InferInput(datatype, [2], datatype)
    made.set_data_from_numpy(array)
    wanted = [triton.InferRequestedOutput(datatype)]
    answer = client.infer("echo", [made], outputs=wanted).as_numpy(datatype)
    assert answer.tolist() == array.tolist()
    if datatype not in CONTENTS:
        return
    message = service_pb2.ModelInferRequest(model_name="echo")
    typed = message.inputs.add(name=datatype, datatype=datatype, shape=[2])
    getattr(typed.contents, CONTENTS[datatype]).extend(values)
    message.outputs.add(name=datatype)
    back = stub.ModelInfer(message).outputs[0]
    assert list(getattr(back.contents, CONTENTS[datatype])) == array.tolist()


def test_models_are_loaded_and_unloaded(make_server, golden):
    server = make_server("--model-memory-bytes-max", "64M")
    register_triage(Api(server.url))
    with triton.InferenceServerClient(f"127.0.0.1:{server.port}") as client:
        def states():
            return {model.state for model in client.get_model_repository_index().models}

        client.load_model("triage")
        assert "READY" in states()
        client.unload_model("triage")
        assert states() == {"UNAVAILABLE"}
        answer = client.infer("triage", [tensor(golden[0])])  # loads it again
        assert len(answer.as_numpy("predict")) == len(golden[1])
        with pytest.raises(InferenceServerException):
            client.load_model("none")
        with pytest.raises(InferenceServerException, match="not taken"):
            client.load_model("triage", config="{}")


# --- models that take their time -----------------------------------------------------------------


@pytest.fixture
def slow(make_server):
    """A server whose model `stuck` listens to nobody, and `patient` looks at its deadline."""
    if not SLOW.exists():
        pytest.skip("build/MODE/slipway-slow is not built")
    server = make_server(program=SLOW)
    register(Api(server.url), "stuck", call_us=400000 * PATIENCE, obeys=0)
    register(Api(server.url), "quick", call_us=1000)
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel), server


def four(model, first=1.0, **parameters):
    message = request(np.arange(first, first + 4, dtype=np.float32).reshape(1, 4), model, "")
    message.inputs[0].name = "x"
    message.id = str(first)
    for name, value in parameters.items():
        message.parameters[name].int64_param = value
    return message


def test_a_deadline_is_kept_though_the_model_does_not(slow):
    stub, _ = slow
    with pytest.raises(grpc.RpcError) as error:
        stub.ModelInfer(four("stuck", timeout=50000 * PATIENCE))
    assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert "Request timeout expired" in error.value.details()
    with pytest.raises(grpc.RpcError) as error:
        stub.ModelInfer(four("stuck"), timeout=0.05 * PATIENCE)
    assert error.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED
    assert stub.ModelInfer(four("quick")).outputs[0].contents.fp32_contents[0] == 10


def test_a_stream_waits_for_its_models(slow):
    stub, _ = slow
    asked = [four("quick", 1.0), four("stuck", 2.0, timeout=50000 * PATIENCE), four("quick", 3.0),
             four("none", 4.0), four("stuck", 5.0)]
    answers = list(stub.ModelStreamInfer(iter(asked)))
    assert [answer.infer_response.id for answer in answers] == ["1.0", "2.0", "3.0", "4.0", "5.0"]
    sums = [answer.infer_response.outputs[0].contents.fp32_contents[0]
            for answer in answers if not answer.error_message]
    assert sums == [10, 18, 26]
    assert "Request timeout expired" in answers[1].error_message


def test_clients_that_leave_a_stream_leave_nothing(slow):
    stub, server = slow
    for _ in range(5):
        stream = stub.ModelStreamInfer(iter([four("quick"), four("stuck"), four("quick")]))
        assert next(stream).infer_response.outputs[0].contents.fp32_contents[0] == 10
        stream.cancel()
        call = stub.ModelInfer.future(four("stuck"))
        call.cancel()
    assert stub.ModelInfer(four("quick")).outputs[0].contents.fp32_contents[0] == 10
    assert server.stop() == 0
