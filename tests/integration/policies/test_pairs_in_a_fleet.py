"""Certified pairs on agents: rolled out by tier, refused when they were tampered with, certified anew from audits."""

import json
import math
import time
from dataclasses import dataclass

import grpc
import numpy as np
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from tests.agent_process import until
from tests.asking import ask, version_of
from tests.control_plane_process import control_plane, following
from tests.fleet_faults import refusal, roll_out, shown
from tests.heads import head_for, policy_with
from tests.policy_commands import policy, policy_json
from tests.versions import make_version
from upriver.heads import closest_within, write_head
from upriver.policies import read_policy, rules_digest, write_policy
from upriver.services import Stub
from upriver.v1 import audit_pb2
from upriver_agent.versions import open_version
from upriver_control.observed import Pair
from upriver_control.rollout import Ring, Rollout, Strategy
from upriver_control.store.database import open_database
from upriver_control.store.rollouts import RolloutTable

AUDITS = audit_pb2.DESCRIPTOR.services_by_name["AuditService"]


@dataclass(frozen=True)
class AgentAt:
    """An agent by its address, to be asked."""

    address: str


@pytest.fixture(scope="module")
def mesh(tmp_path_factory):
    """A control plane with two agents that run v1 and v2, which always agree."""
    folder = tmp_path_factory.mktemp("mesh")
    with control_plane(folder / "control") as plane:
        for version in ("v1", "v2", "v3", "v4"):
            plane.upriver("model", "publish", str(make_version(folder, version, 0.99)))
        with (
            following(folder, plane, "dev-1") as device,
            following(folder, plane, "cloud-1", "cloud") as cloud,
            plane.stubs() as operator,
        ):
            roll_out(operator, "v1", "tier=device")
            roll_out(operator, "v2", "tier=cloud")
            for agent, version in ((device, "v1"), (cloud, "v2")):
                until(lambda agent=agent, version=version: version_of(agent) == version, 60, "the first versions")
            yield plane, operator, folder


def pair_of(operator, agent):
    slots = operator.agents()[agent].slots
    return slots[0].reported.active if slots else None


def fetched(operator, agent):
    """The bytes of blobs that it has received."""
    told = operator.agents()[agent]
    return told.fetched_control_plane_bytes + told.fetched_agent_bytes


def smuggle(plane, document: str, generation: str) -> None:
    """Puts a rollout into the database that RolloutService would not have made."""
    database = open_database(f"sqlite:///{plane.state}/control.db")
    try:
        (version,) = [one for one in json.loads(plane.upriver("model", "list", "pattern", "--json"))["versions"]
                      if one["name"].endswith("/v1")]  # fmt: skip
        rollout = Rollout(
            f"pattern-{generation}", Pair(version["name"], version["digest"], document), "pattern", time.time(),
            selector="tier=device", strategy=Strategy(rings=(Ring(percent=100),), min_sample=1, failure_limit=1.0),
        )  # fmt: skip
        RolloutTable(database).create(rollout, generation)
    finally:
        database.close()


def test_what_the_fleet_runs_is_calibrated_and_rolled_out_as_pairs_and_nothing_else_is_taken(mesh):
    plane, operator, folder = mesh
    images = np.random.default_rng(1).random((1400, 14, 14, 1), np.float32)
    np.savez(folder / "holdout.npz", image=images)
    order = ("--data", str(folder / "holdout.npz"), "--max-loss", "1%", "--hop-ms", "cloud=25")
    told = policy_json(plane, "calibrate", "pattern", *order, "--rollout", "--rings", "100%", "--soak", "0s")
    assert [(tier["tier"], tier["version"][-2:]) for tier in told["tiers"]] == [("device", "v1"), ("cloud", "v2")]
    assert told["result"]["tiers"][1]["cost"] >= 25
    assert len(told["rollouts"]) == 1
    name = told["result"]["tiers"][0]["policy"]
    document = json.dumps(policy_json(plane, "show", name)["document"], sort_keys=True, separators=(",", ":"))
    until(lambda: pair_of(operator, "dev-1").policy_document == document, 60, "the certified pair on the device")
    until(lambda: policy_json(plane, "show", name)["agents"] == 1, 20, "its agent in the list")

    # It is bound to its version, and the service says so before any agent is told.
    with pytest.raises(AssertionError, match="can't be rolled out with"):
        plane.upriver("rollout", "start", "pattern/v3", "--policy", name.rpartition("/")[2])
    for version in ("v3", "v4"):  # twice, so that the agent does not keep v2 to go back to
        roll_out(operator, version, "tier=cloud")
        until(lambda version=version: pair_of(operator, "cloud-1").version.endswith(version), 60, "the next top")
    with pytest.raises(AssertionError, match="policies in use are certified against it"):
        plane.upriver("model", "delete", "pattern/v2")
    until(lambda: policy_json(plane, "show", name)["stale"], 20, "the certificate to be stale")
    stale = policy_json(plane, "show", name)["stale"]
    assert stale == "cloud runs v4; it was certified against v2"
    assert "cloud runs v4" in policy(plane, "list", "pattern")
    assert "its certificate is stale: cloud runs v4; it was certified against" in plane.upriver(
        "fleet", "show", "dev-1"
    )

    # And agents believe neither the service nor its database.
    certified = read_policy(document)
    assert certified.certificate is not None
    edited = document.replace(f'"threshold":{json.loads(document)["threshold"]!r}', '"threshold":0.123456')
    assert edited != document
    smuggle(plane, edited, "edited")
    until(lambda: refusal(plane, "dev-1", "untrusted"), 60, "an edited policy to be refused")
    signed = ("rollout", "start", "pattern/v3", "--selector", "tier=nobody", "--threshold", "0.5", "--json")
    smuggle(plane, json.loads(plane.upriver(*signed))["policy"], "foreign")
    told = until(lambda: "policy is for version" in shown(plane, "dev-1")["difference"] and shown(plane, "dev-1"), 60,
                 "a policy that was signed, for another version, to be refused")  # fmt: skip
    assert told["failure"] is not None
    assert pair_of(operator, "dev-1").policy_document == document


def audits(rules, version, top, count, wrong=()):
    """Audits of a device, one for each question, sure of all and wrong in some."""
    stamp = Timestamp()
    stamp.GetCurrentTime()
    return [
        audit_pb2.Audit(
            question=f"q{number}", asked_time=stamp, agent="dev-1", tier="device", region="", model="pattern",
            version_digest=version, policy_digest=rules, rules_digest=rules, passes=True, answered_here=True,
            confidence=0.2 + 0.7 * (number % 1000) / 1000 if number not in wrong else 0.1, agrees=number not in wrong,
            top_agent="cloud-1", top_version_digest=top, draw=0.001, rate=0.02,
        )
        for number in range(count)
    ]  # fmt: skip


def submit(plane, batch):
    token = plane.join.removeprefix("upriver://").partition("@")[0]
    with grpc.insecure_channel(plane.address) as channel:
        for start in range(0, len(batch), 500):
            request = audit_pb2.SubmitAuditsRequest(audits=batch[start : start + 500])
            Stub(channel, AUDITS).SubmitAudits(request, metadata=(("authorization", f"Bearer {token}"),), timeout=20)


def test_what_runs_is_certified_anew_from_its_audits_against_the_top_of_now(mesh):
    plane, operator, _ = mesh
    device, cloud = pair_of(operator, "dev-1"), pair_of(operator, "cloud-1")
    runs = read_policy(device.policy_document)
    assert runs.certificate is not None
    rules, top = rules_digest(runs), cloud.version_digest
    submit(plane, audits(rules, device.version_digest, top, 100))
    few = policy_json(plane, "calibrate", "pattern", "--data", "audits", "--max-loss", "1%", "--age", "1h")
    assert few["result"]["tiers"][0]["threshold"] == "inf"
    assert few["result"]["tiers"][0]["missing"] >= 450
    assert "audits are too few, about" in few["result"]["notes"][0]

    submit(plane, audits(rules, device.version_digest, "sha256:" + "0" * 64, 1500)[600:])  # against another top
    submit(plane, audits("sha256:" + "1" * 64, device.version_digest, top, 2300)[1500:])  # of another score
    submit(plane, [one for one in audits(rules, device.version_digest, top, 4000, range(2400, 2460)) if
                   int(one.question[1:]) >= 2300])  # fmt: skip
    told = policy_json(
        plane, "recertify", "pattern", "--tier", "device", "--rollout", "--rings", "100%", "--soak", "0s"
    )
    result = told["result"]
    assert result["tune_questions"] + result["calibrate_questions"] == 100 + 1700
    (made, _) = result["tiers"]
    assert 0.1 < made["threshold"] <= 0.25
    found = policy_json(plane, "show", made["policy"])
    assert (found["certificate"]["top"], found["stale"]) == ("models/pattern/versions/v4", "")
    assert found["certificate"]["epsilon"] == runs.certificate.epsilon
    until(lambda: '"threshold":0.' in pair_of(operator, "dev-1").policy_document
          and read_policy(pair_of(operator, "dev-1").policy_document).threshold == made["threshold"],
          60, "the new pair on the device")  # fmt: skip
    # A manifest's policy promises nothing, but a certificate of its version did.
    roll_out(operator, "v1", "tier=device")
    until(lambda: not pair_of(operator, "dev-1").policy_document, 60, "the manifest's policy")
    again = policy_json(plane, "recertify", "pattern")
    assert again["result"]["tiers"][0]["threshold"] == "inf"  # none of these audits are of its score
    assert again["result"]["notes"][0].startswith("device always escalates: 0 audits are too few")


def test_a_policy_brings_its_head_to_agents_and_the_next_one_as_a_change(mesh):
    plane, operator, folder = mesh
    version = open_version(folder / "version-v1", folder / "opened")
    head = head_for(version, 1, ["learnt"])
    better = closest_within(head, head.labels, head.weights() + 0.01, 600)
    document = write_policy(policy_with(version, head, -math.inf))
    (folder / "one.json").write_text(document)
    (folder / "one.head").write_bytes(write_head(head))
    order = ("policy", "publish", "pattern", "--tier", "device", "--policy", str(folder / "one.json"))
    with pytest.raises(AssertionError, match="which was not published"):
        plane.upriver(*order)
    told = json.loads(plane.upriver(*order, "--head", str(folder / "one.head"), "--json"))
    assert (told["version"], told["calibration"]) == ("models/pattern/versions/v1", "")
    start = (
        "rollout",
        "start",
        "pattern/v1",
        "--selector",
        "tier=device",
        "--rings",
        "100%",
        "--soak",
        "0s",
        "--policy",
    )
    plane.upriver(*start, told["digest"][7:23])
    until(lambda: pair_of(operator, "dev-1").policy_document == document, 60, "the pair with its head")
    before = fetched(operator, "dev-1")

    (folder / "two.json").write_text(write_policy(policy_with(version, better, -math.inf)))
    (folder / "two.head").write_bytes(write_head(better))
    order = ("policy", "publish", "pattern", "--tier", "device", "--policy", str(folder / "two.json"), "--head")
    told = json.loads(plane.upriver(*order, str(folder / "two.head"), "--json"))
    plane.upriver(*start, told["digest"][7:23])
    until(lambda: pair_of(operator, "dev-1").policy_document == (folder / "two.json").read_text(), 60, "the next head")
    until(lambda: fetched(operator, "dev-1") > before, 20, "the head's bytes in the report")
    assert fetched(operator, "dev-1") - before < len(write_head(better)), "only what has changed"
    device = ask(AgentAt(operator.agents()["dev-1"].address))
    scores = device.outputs[[output.name for output in device.outputs].index("probabilities")]
    assert list(scores.shape) == [1, 11]
    assert scores.parameters["upriver.labels"].string_param.endswith(",learnt")
