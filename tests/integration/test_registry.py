"""Registration, aliases, rollback: what is refused leaves nothing behind, what is done is recorded.

What could break: a half-registered version, a rollback that toggles, a lost update between two
people, a retried request that acts twice.
"""
import threading

import pytest

from api import Api, REQUEST, golden_rows, numbered, read, register_triage

CONTRACT = read("contract.yaml")
MODEL = read("model.ubj")
GOLDEN = read("golden.csv")


# ---- registering ----

def test_the_first_version_becomes_champion_and_later_ones_wait(api):
    first = api.register("triage", read("model_v1.ubj"), CONTRACT, read("golden_v1.csv"))
    assert first["is_champion"] and first["version"] == 1
    assert first["golden_rows"] == 36
    second = api.register("triage", MODEL, CONTRACT, GOLDEN, owner=None)
    assert not second["is_champion"] and second["version"] == 2
    assert second["compatibility"]["compatible"] is True
    assert second["compared_to"] == 1
    assert api.champion("triage") == 1


def test_what_was_registered_is_told(api):
    api.register("triage", MODEL, CONTRACT, GOLDEN, note="why not",
                 lineage={"code_commit": "abc"}, description="for a test")
    version = api.get("/api/models/triage/versions/latest").json()
    assert version["note"] == "why not"
    assert version["lineage"] == {"code_commit": "abc"}
    assert version["artifact_bytes"] == len(MODEL)
    assert version["runtime"] == "trees"
    model = api.get("/api/models/triage").json()
    assert (model["owner"], model["description"]) == ("lab@example.org", "for a test")


def test_the_same_files_twice_are_told_apart_from_a_new_version(api):
    api.register("triage", MODEL, CONTRACT, GOLDEN)
    problem = api.register("triage", MODEL, CONTRACT, GOLDEN, expect=409)
    assert "version 1" in problem["detail"]


def wrong_golden():
    """One expected answer of the file is off by 0.01."""
    lines = GOLDEN.decode().splitlines()
    cells = lines[3].split(",")
    cells[-1] = str(float(cells[-1]) + 0.01)
    lines[3] = ",".join(cells)
    return "\n".join(lines).encode()


def without_field(contract):
    """The contract without its first field: 29 for a model of 30."""
    text = contract.decode()
    start = text.index("      - name: mean_radius")
    return (text[:start] + text[text.index("      - name: mean_texture"):]).encode()


REFUSED = {
    "no model at all": (b"", CONTRACT, None, ["model"]),
    "text as model": (b"hello", CONTRACT, None, []),
    "truncated model": (MODEL[:len(MODEL) // 2], CONTRACT, None, []),
    "contract is no YAML": (MODEL, b"a: [", None, ["line"]),
    "contract of another kind": (MODEL, b"apiVersion: v3.1.0\nkind: Recipe\n", None, ["kind"]),
    "contract does not fit": (MODEL, without_field(CONTRACT), None, ["mean_radius"]),
    "unknown key in the contract": (
        MODEL, CONTRACT.replace(b"logicalTypeOptions", b"logicalOptions"), None,
        ["logicalOptions"]),
    "golden rows differ": (MODEL, CONTRACT, wrong_golden(), ["line 4", "expected"]),
    "golden of another model": (MODEL, CONTRACT, read("golden_v1.csv"), ["line 2"]),
    "golden without answers": (MODEL, CONTRACT, b"mean_radius\n1\n", ["answer"]),
    "golden is empty": (MODEL, CONTRACT, b"", ["golden"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_leaves_nothing_behind(server, case):
    api = Api(server.url)
    artifact, contract, golden, words = REFUSED[case]
    problem = api.register("triage", artifact, contract, golden, expect=400)
    for word in words:
        assert word in problem["detail"] + problem.get("hint", "")
    assert api.get("/api/models").json()["models"] == []
    assert api.get("/api/audit").json()["events"] == []
    assert server.get("/readyz")[0] == 200


def test_artifacts_that_were_never_uploaded_are_named(api):
    problem = api.post("/api/models/m/versions",
                       {"owner": "lab@example.org", "artifact": "ab" * 32}, 404).json()
    assert "ab" * 32 in problem["detail"]


def test_an_upload_under_a_wrong_digest_is_refused(api):
    problem = api.call("PUT", "/api/blobs/" + "0" * 64, 400, data=MODEL).json()
    assert "0" * 64 in problem["detail"]
    api.call("HEAD", "/api/blobs/" + "0" * 64, 404)


@pytest.mark.parametrize("name", ["a%2Fb", "..", "%2e%2e", "a%00b", "-x", "x" * 200, "a%20b",
                                  "%C3%A4"])
def test_names_that_could_be_paths_are_refused(api, name):
    reply = api.call("POST", f"/api/models/{name}/versions", json={"artifact": "ab" * 32})
    assert reply.status_code in (400, 404), reply.text
    assert api.get("/api/models").json()["models"] == []


def test_a_numeric_model_may_come_without_contract_and_takes_tensors_only(api):
    api.register("plain", MODEL)
    body = {"inputs": [{"name": "input", "shape": [1, 30], "datatype": "FP32",
                        "data": list(REQUEST.values())}]}
    reply = api.post("/v2/models/plain/infer", body).json()
    assert reply["outputs"][0]["data"] == pytest.approx(golden_rows()[1][:1])
    problem = api.predict("plain", REQUEST, 501)
    assert "/v2/models/plain/infer" in problem["hint"]


def test_a_model_needs_an_owner(api):
    problem = api.register("triage", MODEL, CONTRACT, owner=None, expect=400)
    assert "owner" in problem["detail"]


def with_unit(unit):
    """The contract with a unit on its first field."""
    place = b"        customProperties:\n"
    return CONTRACT.replace(place, place + b"          - property: unit\n            value: " +
                            unit + b"\n", 1)


def test_a_breaking_contract_is_told_at_registration(api):
    """The unit changes: every number means something else now."""
    first, second = (with_unit(unit) for unit in (b"mm", b"um"))
    api.register("triage", MODEL, first, GOLDEN, alias="champion")
    reply = api.register("triage", MODEL, second, GOLDEN)
    assert reply["compatibility"]["compatible"] is False
    change = reply["compatibility"]["changes"][0]
    assert (change["kind"], change["field"]) == ("breaking", "mean_radius")


# ---- aliases ----

def test_if_match_stops_the_second_of_two_people(api):
    register_triage(api)
    first = api.get("/api/models/triage/aliases/champion")
    etag = first.headers["ETag"]
    moved = api.set_alias("triage", "champion", 1, headers={"If-Match": etag})
    assert moved.headers["ETag"] != etag
    problem = api.set_alias("triage", "champion", 2, 412, headers={"If-Match": etag}).json()
    assert problem["code"] == "conflict"
    assert api.champion("triage") == 1
    api.set_alias("triage", "champion", 2, 412, headers={"If-None-Match": "*"})
    api.set_alias("triage", "challenger", 2, headers={"If-None-Match": "*"})


def test_champion_cannot_be_deleted_others_can(api):
    register_triage(api)
    api.set_alias("triage", "challenger", 1)
    api.call("DELETE", "/api/models/triage/aliases/challenger", 200)
    api.get("/api/models/triage/aliases/challenger", 404)
    reply = api.call("DELETE", "/api/models/triage/aliases/champion")
    assert 400 <= reply.status_code < 500
    assert api.champion("triage") == 2


@pytest.mark.parametrize("alias", ["7", "latest"])
def test_an_alias_cannot_look_like_a_version(api, alias):
    register_triage(api, 1)
    assert api.set_alias("triage", alias, 1, None).status_code in (400, 404)


def test_an_alias_to_a_version_that_is_not_there_is_404(api):
    register_triage(api, 1)
    assert "9" in api.set_alias("triage", "champion", 9, 404).json()["detail"]


# ---- idempotency ----

def decision(reply):
    """A rollback's reply without how long it took."""
    return {key: value for key, value in reply.items() if key != "milliseconds"}


def test_a_repeated_request_acts_once_and_is_answered_the_same(api):
    register_triage(api, 3)
    header = {"Idempotency-Key": "retry-1"}
    path = "/api/models/triage/rollback"
    first = api.post(path, {"reason": "r"}, headers=header)
    again = api.post(path, {"reason": "r"}, headers=header)
    assert decision(again.json()) == decision(first.json())
    assert again.headers["Idempotency-Replayed"] == "true"
    assert api.champion("triage") == 2
    api.post(path, {"reason": "another"}, 409, headers=header)
    assert api.champion("triage") == 2


def test_a_refused_request_does_not_use_up_its_key(api):
    register_triage(api)
    header = {"Idempotency-Key": "retry-2"}
    api.set_alias("triage", "challenger", 9, 404, headers=header)
    api.set_alias("triage", "challenger", 1, 200, headers=header)


def test_eight_retries_at_once_act_once(server):
    api = Api(server.url)
    register_triage(api, 4)
    replies = []

    def send():
        replies.append(Api(server.url).post("/api/models/triage/rollback", {"reason": "r"},
                                            headers={"Idempotency-Key": "same"}).json())

    threads = [threading.Thread(target=send) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(replies) == 8
    assert all(decision(reply) == decision(replies[0]) for reply in replies)
    assert api.champion("triage") == 3


# ---- rollback ----

def test_rollback_goes_one_step_back_each_time_and_never_toggles(api):
    register_triage(api, 3)
    assert api.serving() == "3"
    first = api.rollback("triage")
    assert (first["from"], first["to"], first["durable"]) == (3, 2, True)
    assert api.serving() == "2"
    second = api.rollback("triage")
    assert (second["from"], second["to"]) == (2, 1)
    assert api.serving() == "1"
    problem = api.rollback("triage", 409)
    assert problem["code"] == "conflict"
    assert api.serving() == "1"


def test_after_a_rollback_a_new_champion_stands_on_the_old_one(api):
    """1 <- 2 <- 3, back to 2, set 1: the next rollback goes to 2, not to 3."""
    register_triage(api, 3)
    api.rollback("triage")
    api.set_alias("triage", "champion", 1)
    assert api.rollback("triage")["to"] == 2


def test_the_answer_after_a_rollback_is_the_old_versions(api):
    register_triage(api)
    rows, old = golden_rows("golden_v1.csv")
    api.rollback("triage")
    reply = api.predict("triage", {"rows": rows})
    got = [row["probabilities"]["malignant"] for row in reply["predictions"]]
    assert got == pytest.approx(old, rel=1e-6)


def test_history_and_audit_say_who_what_and_why(api):
    register_triage(api)
    api.put("/api/models/triage/aliases/champion", {"version": 1, "reason": "a drill"})
    api.rollback("triage")
    changes = api.get("/api/models/triage/history").json()["changes"]
    assert [(c["kind"], c["from"], c["to"]) for c in changes] == [
        ("rollback", 1, 2), ("set", 2, 1), ("set", 1, 2), ("set", 0, 1)]
    assert changes[1]["reason"] == "a drill"
    assert all(change["actor"] for change in changes)
    events = api.get("/api/audit").json()["events"]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert changes[0]["id"] == events[-1]["seq"]


def test_rollback_of_nothing_is_explained(api):
    assert "nobody" in api.rollback("nobody", 404)["detail"]
    register_triage(api, 1)
    problem = api.rollback("triage", 409)
    assert problem["hint"]


def test_a_failed_load_leaves_the_old_champion_serving(server):
    """The artifact of version 2 rots on the disk after a restart has unloaded it."""
    api = Api(server.url)
    api.register("triage", read("model_v1.ubj"), CONTRACT, read("golden_v1.csv"))
    api.register("triage", MODEL, CONTRACT, GOLDEN)
    digest = api.get("/api/models/triage/versions/2").json()["artifact"]
    server.restart()
    blob = next(file for file in server.data.rglob("*") if digest[2:] in file.name)
    blob.chmod(0o600)
    blob.write_bytes(MODEL[:-100] + bytes(100))
    api = Api(server.url)
    problem = api.set_alias("triage", "champion", 2, None)
    assert problem.status_code >= 400
    assert api.serving() == "1"
    assert api.champion("triage") == 1
    doctor = api.get("/api/doctor").json()
    assert doctor["healthy"] is False
    assert any(digest in check.get("problem", "") for check in doctor["checks"])


