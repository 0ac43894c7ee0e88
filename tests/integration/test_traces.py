"""Traces to a collector: decoded by OpenTelemetry's own messages, never in a prediction's way.

What could break: a span that is not in its caller's trace, one that the reply does not name, bytes
no collector reads, a collector that is away and takes predictions with it.
"""
import base64
import gzip
import json
import time

import pytest
from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status

from api import REQUEST, Api, register_triage
from receiver import receiving
from server import PATIENCE

SECONDS = 20 * PATIENCE
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = "00f067aa0ba902b7"


@pytest.fixture
def collector():
    with receiving() as one:
        yield one


def decode(request):
    """OTLP's JSON has ids in hex where protobuf's has base64; all else is protobuf's mapping."""
    assert request.path == "/v1/traces"
    assert request.headers["content-type"] == "application/json"
    body = request.body
    if request.headers.get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    found = json.loads(body)
    for resource in found["resourceSpans"]:
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                for name in ("traceId", "spanId", "parentSpanId"):
                    if name in span:
                        span[name] = base64.b64encode(bytes.fromhex(span[name])).decode()
    return json_format.ParseDict(found, ExportTraceServiceRequest())


def spans(requests):
    return [span for request in requests for resource in decode(request).resource_spans
            for scope in resource.scope_spans for span in scope.spans]


def attributes(span):
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}


def predict(api, sampled=True, status=200, body=REQUEST):
    trace = f"00-{TRACE}-{PARENT}-{'01' if sampled else '00'}"
    return api.call("POST", "/predict/triage", status, json=body, headers={"traceparent": trace})


def test_sampled_predictions_are_spans_of_their_callers_trace(make_server, collector):
    server = make_server("--otlp-endpoint", collector.url, "--otlp-service-name", "triage-prod")
    api = Api(server.url)
    register_triage(api)
    first = predict(api)
    predict(api, status=422, body={**REQUEST, "mean_radius": "x"})
    predict(api, sampled=False)
    api.predict("triage", {"rows": [REQUEST] * 3})  # no trace, and no ratio
    found = collector.wait_for(lambda got: len(spans(got)) >= 2 and spans(got), SECONDS)
    assert len(found) == 2
    span = found[0]
    assert span.trace_id.hex() == TRACE and span.parent_span_id.hex() == PARENT
    # The reply names the span that the collector got.
    assert first.headers["traceparent"] == f"00-{TRACE}-{span.span_id.hex()}-01"
    assert span.name == "predict triage" and span.kind == Span.SPAN_KIND_SERVER
    assert 0 < span.end_time_unix_nano - span.start_time_unix_nano < 60e9
    told = attributes(span)
    assert told["http.response.status_code"] == 200 and told["slipway.version"] == 2
    assert told["slipway.rows"] == 1 and told["slipway.model"] == "triage"
    assert told["slipway.request_id"] == first.headers["X-Request-Id"]
    refused = found[1]
    assert attributes(refused)["http.response.status_code"] == 422
    assert refused.status.code == Status.STATUS_CODE_UNSET
    assert refused.span_id != span.span_id
    resource = decode(collector.requests[0]).resource_spans[0].resource
    assert attributes(resource)["service.name"] == "triage-prod"
    assert 'slipway_trace_spans_total{result="sent"} 2' in api.get("/metrics").text


def test_a_ratio_traces_those_without_a_trace(make_server, collector):
    server = make_server("--otlp-endpoint", f"{collector.url}/v1/traces", "--otlp-sample-ratio",
                         "1", "--no-otlp-gzip")
    api = Api(server.url)
    register_triage(api)
    for _ in range(3):
        api.predict("triage", REQUEST)
    found = collector.wait_for(lambda got: len(spans(got)) >= 3 and spans(got), SECONDS)
    assert len({span.trace_id for span in found}) == 3
    assert not any(span.parent_span_id for span in found)


def test_a_collector_that_comes_late_gets_them_and_one_that_stays_away_is_counted(make_server,
                                                                                 collector):
    collector.answer = lambda request: (503, {})
    server = make_server("--otlp-endpoint", collector.url)
    api = Api(server.url)
    register_triage(api)
    predict(api)
    collector.wait_for(len, SECONDS)
    predict(api)
    collector.answer = lambda request: None
    collector.wait_for(lambda got: len(spans(one for one in got if one.status == 204)) >= 2,
                       SECONDS)
    collector.answer = lambda request: (400, {})
    predict(api)
    collector.wait_for(lambda got: got[-1].status == 400, SECONDS)
    end = time.monotonic() + SECONDS
    while 'slipway_trace_spans_total{result="dropped"} 1' not in api.get("/metrics").text:
        assert time.monotonic() < end
        time.sleep(0.05)
    # Nobody listens at all: predictions go on, the end does not wait.
    collector.server.server_close()
    for _ in range(20):
        predict(api)
    server.stop()
    assert "traces not sent" in server.log_text()


def test_what_is_no_url_does_not_start_a_server(make_server):
    server = make_server("--otlp-endpoint", "collector:4318", start=False)
    server.start(wait=False)
    assert server.process.wait(20 * PATIENCE) != 0
    server.process = None
    assert "'collector:4318' is not a collector's URL" in server.log_text()
