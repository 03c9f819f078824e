"""Calibrations of detectors, of models that name their own confidence, of encoded images; and models that do harm."""

import io

import numpy as np
import pytest
from PIL import Image

from tests.heads import head_for
from tests.models.folders import CLASSIFIER, DETECTOR, ENCODED, SCALAR, version_folder
from upriver.errors import InvalidInput, ModelInvalid
from upriver.heads import write_head
from upriver.listing import digest
from upriver.policies import read_policy
from upriver.questions import RowsWriter
from upriver.scores import ScoreKind
from upriver_agent.versions import open_version
from upriver_control.calibrating.answers import answers
from upriver_control.calibrating.order import QUESTIONS, Order, head_of, version_of
from upriver_control.calibrating.work import worked_out
from upriver_control.jobs import Spec, TierSpec

EMBEDDING = CLASSIFIER.replace(
    'datatype = "UINT8"\nshape = [28, 28, 1]', 'datatype = "FP32"\nshape = [14, 14, 1]'
).replace("[outputs]", '[outputs]\nembedding = "embedding"')
EMBEDDING = EMBEDDING.replace('resize = { height = 14, width = 14, interpolation = "area" }\n', "")
DEVICE, CLOUD, DATA = (f"sha256:{digit * 64}" for digit in "123")
ROWS = 1000


def telling(doing, share):
    assert 0.0 <= share <= 1.0


def order(folder, inputs, file, manifest, **more):
    """A calibration of a model that is its own top."""
    folder.mkdir()
    with (folder / QUESTIONS).open("wb") as out, RowsWriter(out) as writer:
        writer.add({f"inputs/{name}": array for name, array in inputs.items()})
    for tier in range(2):
        version_folder(version_of(folder, tier), file, manifest)
    tiers = (TierSpec("device", "v", DEVICE, invoke_ms=1.0), TierSpec("cloud", "w", CLOUD, hop_ms=5.0, invoke_ms=9.0))
    return Order(Spec(0.01, 0.95, tiers, data=DATA, **more), str(folder), 60.0, 4096)


def images(rows, chance):
    made = np.empty(rows, object)
    for row in range(rows):
        out = io.BytesIO()
        Image.fromarray(chance.integers(0, 256, (20, 24), np.uint8)).save(out, format="PNG")
        made[row] = out.getvalue()
    return made


@pytest.mark.parametrize(
    ("file", "manifest", "inputs", "agreement"),
    [
        ("detector", DETECTOR, lambda chance: {"image": chance.random((ROWS, 16, 16, 1), np.float32)}, "boxes_f1"),
        ("scalar", SCALAR, lambda chance: {"features": chance.normal(0, 3, (ROWS, 8)).astype(np.float32)}, "tolerance"),
        ("float_embedding", ENCODED, lambda chance: {"image": images(ROWS, chance)}, "same_label"),
    ],
)
def test_every_task_is_calibrated_by_its_own_agreement(file, manifest, inputs, agreement, tmp_path):
    made = worked_out(order(tmp_path / "work", inputs(np.random.default_rng(2)), file, manifest), telling)
    device, cloud = made.result.tiers
    assert (made.result.tune_questions, made.result.calibrate_questions, made.result.losses) == (500, 500, 0)
    assert device.exit_share > 0.98
    assert cloud.cost == 14.0
    policy = read_policy(made.documents[0])
    assert policy.agreement.name == agreement
    assert policy.certificate is not None
    assert (policy.version_digest, policy.certificate.top, policy.certificate.data) == (DEVICE, CLOUD, DATA)
    assert policy.risk is None or set(policy.risk.features) <= set(ScoreKind)


def test_a_tier_that_runs_with_a_head_is_calibrated_with_it_and_keeps_it(tmp_path):
    folder = tmp_path / "work"
    images_of = {"image": np.random.default_rng(2).random((ROWS, 14, 14, 1), np.float32)}
    work = order(folder, images_of, "float_embedding", EMBEDDING)
    version = open_version(version_of(folder, 0), tmp_path / "state")
    head = write_head(head_for(version, 1, ["learnt"]))
    head_of(folder, 0).parent.mkdir()
    head_of(folder, 0).write_bytes(head)
    made = worked_out(work, telling)
    policy = read_policy(made.documents[0])
    assert policy.head == digest(head)
    assert made.result.tiers[0].fitness.disagreements > 0.5 * made.result.tiers[0].fitness.questions
    assert policy.version_digest == DEVICE


def test_questions_that_are_not_the_models_are_named(tmp_path):
    wrong = {"image": np.zeros((3, 8, 8, 1), np.float32)}
    with pytest.raises(ModelInvalid, match=r"tier device \(v\): input 'image', from row 0: float32 \[8, 8, 1\]; exp"):
        worked_out(order(tmp_path / "one", wrong, "detector", DETECTOR), telling)
    with pytest.raises(ModelInvalid, match="have no input 'image'; they have picture"):
        worked_out(order(tmp_path / "two", {"picture": wrong["image"]}, "detector", DETECTOR), telling)
    with pytest.raises(InvalidInput, match="the data has no labels"):
        worked_out(order(tmp_path / "three", wrong, "detector", DETECTOR, labels=True), telling)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("calling_itself", "crashed its runtime (SIGSEGV)"),
        ("swelling", "tier device (v)"),
        ("endless", "more than 2 s"),
    ],
)
def test_a_model_that_does_harm_does_it_to_its_own_process(model, told, tmp_path):
    made = order(tmp_path / "work", {"features": np.zeros((2, 8), np.float32)}, model, SCALAR)
    folder = tmp_path / "work"
    with pytest.raises(ModelInvalid) as refused:
        answers(made.spec.tiers[0], version_of(folder, 0), folder / QUESTIONS, folder / "out", 2.0, 2048, print)
    assert told in str(refused.value)
    assert not (folder / "out").exists()
