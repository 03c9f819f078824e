"""Calibrations against a control plane that runs, with models that run."""

import json
import math
import shutil

import numpy as np
import pytest

from tests.agent_process import REPOSITORY, until
from tests.control_plane_process import control_plane
from tests.policy_commands import command, policy, policy_json, standing_still
from tests.terminals import terminal
from tests.versions import MODELS, make_version
from upriver.errors import InvalidInput, NotFound, NotNow
from upriver.listing import digest
from upriver.policies import read_policy
from upriver.services import Stub
from upriver.v1 import policy_pb2 as pb
from upriver_control.cli.connection import Connection

SERVICE = pb.DESCRIPTOR.services_by_name["PolicyService"]
ROWS = 1600
TIERS = ("--tier", "device=v1", "--tier", "cloud=v2")
FOLDERS = ("device", "cloud")


@pytest.fixture(scope="module")
def plane(tmp_path_factory):
    with control_plane(tmp_path_factory.mktemp("control") / "plane") as running:
        folder = tmp_path_factory.mktemp("versions")
        for version in ("v1", "v2"):
            running.upriver("model", "publish", str(make_version(folder, version, 0.5)))
        yield running


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Questions for the small classifier, whose two versions always agree, with labels that are its own."""
    folder = tmp_path_factory.mktemp("data")
    chance = np.random.default_rng(7)
    images = chance.random((ROWS, 14, 14, 1), np.float32)
    np.savez(folder / "holdout.npz", image=images, label=chance.integers(0, 10, ROWS))
    return folder


def test_a_pair_that_always_agrees_answers_everything_and_the_proof_is_bound_to_it(plane, data):
    order = ("calibrate", "pattern", "--data", str(data), "--max-loss", "1%", *TIERS, "--request-id", "mine")
    told = policy_json(plane, *order)
    assert policy_json(plane, *order) == told  # the same request is the same calibration, and nothing is done twice
    assert policy_json(plane, "result", told["name"])["result"] == told["result"]
    result = told["result"]
    assert (told["state"], told["max_loss"], told["confidence"]) == ("succeeded", 0.01, 0.95)
    assert (result["tune_questions"], result["calibrate_questions"], result["losses"]) == (800, 800, 0)
    device, cloud = result["tiers"]
    assert (device["exit_share"], device["missing"], cloud["threshold"], cloud["policy"]) == (1.0, 0, "-inf", "")
    assert 0 < result["certified_loss"] <= 0.01
    assert {one["name"] for one in result["baselines"]} == {"all-top", "all-local", "oracle"}

    found = policy_json(plane, "show", device["policy"])
    document = read_policy(json.dumps(found["document"], sort_keys=True, separators=(",", ":")))
    assert found["digest"] == digest(json.dumps(found["document"], sort_keys=True, separators=(",", ":")).encode())
    assert document.version_digest == found["version_digest"]
    assert document.certificate is not None
    assert found["certificate"]["questions"] == document.certificate.questions == 800
    assert found["certificate"]["top"] == "models/pattern/versions/v2"
    assert found["name"] in [one["name"] for one in policy_json(plane, "list", "pattern")]
    assert "at most" in policy(plane, "show", found["digest"][7:17])


def test_too_little_data_escalates_always_and_says_how_much_is_missing(plane, data, tmp_path):
    with np.load(data / "holdout.npz") as arrays:
        np.savez(tmp_path / "few.npz", image=arrays["image"][:100])
    told = policy_json(plane, "calibrate", "pattern", "--data", str(tmp_path), "--max-loss", "1%", *TIERS)
    assert told["state"] == "succeeded"
    assert told["result"]["missing"] == 299 - 50
    assert told["result"]["tiers"][0]["threshold"] == "inf"
    found = policy_json(plane, "show", told["result"]["tiers"][0]["policy"])
    assert (found["threshold"], found["certificate"]) == ("inf", None)
    shown = policy(plane, "result", told["name"])
    assert "at least 498 more questions are needed, 249 to certify" in shown, shown


def test_labels_are_asked_for_and_must_be_the_models(plane, data, tmp_path):
    with np.load(data / "holdout.npz") as arrays:
        images = arrays["image"]
    order = ("--max-loss", "1%", *TIERS)
    told = policy_json(plane, "calibrate", "pattern", "--data", str(data), *order, "--labels")
    assert told["state"] == "succeeded"
    assert told["result"]["notes"] == ["labels are numbers: taken as places in the top's list of labels"]
    np.savez(tmp_path / "other.npz", image=images, label=np.array(["cat"] * ROWS))
    with pytest.raises(NotNow, match="the top knows none of them; it has 'class-0'"):
        policy(plane, "calibrate", "pattern", "--data", str(tmp_path / "other.npz"), *order, "--labels")
    np.savez(tmp_path / "none.npz", image=images)
    with pytest.raises(Exception, match="has no labels"):
        policy(plane, "calibrate", "pattern", "--data", str(tmp_path / "none.npz"), *order, "--labels")


def test_a_version_that_is_damaged_where_it_is_kept_fails_the_calibration(plane, data):
    model = digest((MODELS / "float_embedding.tflite").read_bytes())
    blob = next(plane.state.glob(f"artifacts/*/{model[7:]}"))
    content = blob.read_bytes()
    blob.write_bytes(content[:2000] + bytes(len(content) - 2000))
    try:
        with pytest.raises(NotNow, match="damaged where it is kept"):
            policy(plane, "calibrate", "pattern", "--data", str(data), "--max-loss", "3%", *TIERS)
    finally:
        blob.write_bytes(content)


@pytest.mark.parametrize(
    ("arguments", "kind", "told"),
    [
        (("--tier", "device=v1", "--tier", "cloud=v9"), NotFound, "v9"),
        (("--tier", "device=v1", "--tier", "cloud=digits/v1"), InvalidInput, "no version of pattern"),
        (
            (
                "--tier",
                "device=v1",
            ),
            InvalidInput,
            "1 tiers; expected 2 to",
        ),
        ((), NotNow, "--tier device=VERSION"),
        (("--hop-ms", "cloud=4"), InvalidInput, "the fleet has none"),
    ],
)
def test_what_can_t_be_calibrated_is_told_at_once(plane, data, arguments, kind, told):
    with pytest.raises(kind, match=told):
        policy(plane, "calibrate", "pattern", "--data", str(data), "--max-loss", "1%", *arguments)


def test_what_is_asked_for_is_checked_where_it_arrives(plane):
    with Connection(plane.address, plane.state / "operator-token") as connection:

        def create(**fields):
            spec = pb.CalibrationSpec(
                **{"max_loss": 0.01, "confidence": 0.95, "data_digest": "sha256:" + "0" * 64, **fields}
            )
            request = pb.CreateCalibrationRequest(parent="models/pattern", spec=spec)
            connection.call(SERVICE, "CreateCalibration", request)

        tiers = [pb.CalibrationTier(tier=one, version="models/pattern/versions/v1") for one in ("a", "b")]
        with pytest.raises(InvalidInput, match="max_loss is 1; expected above 0 and below 1; confidence is nan"):
            create(max_loss=1.0, confidence=math.nan)
        with pytest.raises(InvalidInput, match="either data_digest or audits"):
            create(data_digest="")
        with pytest.raises(NotFound, match="upload it again"):
            create(tiers=tiers)
        with pytest.raises(InvalidInput, match="each once"):
            create(tiers=[tiers[0], tiers[0]])
        content = b"PK no questions"

        def parts(name):
            header = pb.CalibrationDataHeader(parent="models/pattern", digest=name, size_bytes=len(content))
            yield pb.UploadCalibrationDataRequest(header=header)
            yield pb.UploadCalibrationDataRequest(data=content)

        with pytest.raises(InvalidInput, match="no questions file"):
            connection.call(SERVICE, "UploadCalibrationData", parts(digest(content)))
        with pytest.raises(InvalidInput, match="the bytes have the digest"):
            connection.call(SERVICE, "UploadCalibrationData", parts("sha256:" + "1" * 64))
        assert not list((plane.state / "calibrations" / "uploads").iterdir())


def test_nobody_calibrates_without_the_operators_token(plane):
    import grpc

    with grpc.insecure_channel(plane.address) as channel, pytest.raises(grpc.RpcError) as refused:
        Stub(channel, SERVICE).ListPolicies(pb.ListPoliciesRequest(parent="models/-"), timeout=10)
    assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def test_a_person_sees_progress_the_path_and_what_to_do_next(plane, data, tmp_path):
    order = ("calibrate", "pattern", "--data", str(data), "--max-loss", "1%", *TIERS, "--plot", str(tmp_path / "p.svg"))
    with standing_still(plane) as go_on, terminal(command(*order), plane.operator()) as shown:
        told = shown.read("beginning")
        go_on()
        told += shown.read()
        assert shown.process.wait(30) == 0, told
    assert "certified loss against the share answered below the top" in told
    assert "◆ ships" in told
    assert "upriver rollout start pattern/v1 --policy" in told
    assert (tmp_path / "p.svg").read_text().startswith("<svg")


def test_a_calibration_goes_on_when_its_watcher_leaves_and_can_be_cancelled(plane, data):
    before = len(policy_json(plane, "list", "pattern", "--limit", "500"))
    order = ("calibrate", "pattern", "--data", str(data), "--max-loss", "1.5%", "--cost", "bytes", *TIERS)
    with standing_still(plane):
        with terminal(command(*order), plane.operator()) as shown:
            shown.read("beginning")
            shown.press("\x03")
            told = shown.read()
            assert shown.process.wait(30) == 1
        assert "it goes on; see it with: upriver policy result pattern/" in told
        name = told.partition("upriver policy result ")[2].partition(";")[0]
        policy(plane, "cancel", name)
    assert policy_json(plane, "result", name)["state"] == "cancelled"
    assert policy_json(plane, "cancel", name)["state"] == "cancelled"
    until(lambda: not list(plane.state.glob("calibrations/process-*/*")), 20, "its folder to go")
    assert len(policy_json(plane, "list", "pattern", "--limit", "500")) == before


def test_the_demos_models_are_calibrated_and_noise_is_no_reason_to_answer(plane, tmp_path):
    for folder in FOLDERS:
        copy = tmp_path / folder
        shutil.copytree(REPOSITORY / "demo/models" / folder, copy, ignore=shutil.ignore_patterns("accuracy.json"))
        plane.upriver("model", "publish", str(copy))
    images = np.random.default_rng(3).integers(0, 256, (1200, 28, 28, 1), np.uint8)
    np.savez(tmp_path / "noise.npz", image=images)
    tiers = ("--tier", "device=device-14px", "--tier", "cloud=cloud-28px")
    data = str(tmp_path / "noise.npz")
    told = policy_json(plane, "calibrate", "digits", "--data", data, "--max-loss", "1%", *tiers, "--hop-ms", "cloud=40")
    assert told["state"] == "succeeded"
    assert told["result"]["certified_loss"] <= 0.01
    assert told["result"]["losses"] <= 6
    assert [tier["tier"] for tier in told["result"]["tiers"]] == list(FOLDERS)
    assert told["result"]["tiers"][1]["cost"] >= 40


def test_kill_9_in_the_middle_and_it_is_begun_anew_with_no_half_made_policies(plane, data):
    before = [one["name"] for one in policy_json(plane, "list", "pattern", "--limit", "500")]
    order = ("calibrate", "pattern", "--data", str(data), "--max-loss", "0.9%", *TIERS, "--json")
    with standing_still(plane) as go_on, terminal(command(*order), plane.operator()) as watching:

        def running():
            with Connection(plane.address, plane.state / "operator-token") as connection:
                request = pb.ListCalibrationsRequest(parent="models/pattern", page_size=1)
                found = connection.call(SERVICE, "ListCalibrations", request).calibrations
            return [one for one in found if one.spec.max_loss == 0.009 and one.state == pb.CALIBRATION_STATE_RUNNING]

        (begun,) = until(running, what="the calibration to run")
        folders = until(lambda: list(plane.state.glob("calibrations/process-*/*")), what="its folder")
        plane.kill()
        go_on()
        plane.start()
        assert [one["name"] for one in policy_json(plane, "list", "pattern", "--limit", "500")] == before
        told = watching.read()
        assert watching.process.wait(60) == 0, told
    done = json.loads(told[told.index("{") :])
    assert (done["name"], done["state"]) == (begun.name, "succeeded")
    (new,) = [one for one in policy_json(plane, "list", "pattern", "--limit", "500") if one["name"] not in before]
    assert new["calibration"] == begun.name
    assert not [folder for folder in folders if folder.exists()]
