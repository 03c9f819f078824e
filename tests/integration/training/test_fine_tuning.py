"""A training with TensorFlow, from lessons to a version that a device can run."""

import json
from dataclasses import replace
from importlib.util import find_spec

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.agent_process import until
from tests.asking import version_of
from tests.control_plane_process import control_plane, following
from tests.fleet_faults import roll_out
from tests.train_commands import command, submit, taught
from tests.trained_versions import SPEC, lessons_of, make_keras, make_knowing, make_order, pattern, work, write_replay
from tests.versions import LABELS, make_version
from upriver.questions import read_index
from upriver_agent.head import read_prior
from upriver_agent.versions.store import load_folder
from upriver_control.cli.lineage import app as lineage_app
from upriver_control.cli.models import app as models_app
from upriver_control.cli.rollouts import app as rollouts_app
from upriver_control.cli.train import app as train_app
from upriver_control.convert import convert_to_version
from upriver_control.spans.store import SpanStore, open_spans
from upriver_control.training.order import MADE, SOURCE, read_result
from upriver_control.validation import ChildValidation

pytestmark = pytest.mark.skipif(find_spec("tensorflow") is None, reason="TensorFlow is of the train extra")
MORE = (*LABELS, "class-new")


def test_what_is_asked_above_is_learnt_with_a_new_label_and_what_was_known_is_not_forgotten(tmp_path):
    spec = replace(SPEC, replay=write_replay(tmp_path / "replay", (0, 1, 2), 60), quantise="int8",
                   settings={"epochs": 12, "learning_rate": 0.01, "new_label_lessons": 10})  # fmt: skip
    tables = [lessons_of((3, 4, 10), 210, "north", 1, MORE), lessons_of((5, 6), 140, "south", 2)]
    order = make_order(tmp_path / "job", spec, tables)
    make_keras(tmp_path / "job" / SOURCE)
    last, log = work(order)
    assert last == {"made": True}, log[-2000:]
    made = tmp_path / "job" / MADE
    result = read_result((made / "result.json").read_text())
    assert result.new_labels == ("class-new",)
    assert result.lessons + result.holdout == 350
    assert 40 <= result.holdout <= 105
    assert [one.region for one in result.evaluations] == ["", "north", "south"]
    for one in result.evaluations:
        assert one.accuracy > 0.9 > one.base_accuracy
    assert "epoch 12" in log
    verdict = ChildValidation()(made / "version")
    assert (verdict.model, verdict.version[:9], verdict.validation.golden_rows) == ("pattern", "train-t1-", 8)
    assert "int8" in result.conversion
    uses = pq.read_table(made / "lessons.parquet").to_pylist()
    assert {use["use"] for use in uses} == {"train", "holdout"}
    assert len(uses) == 350
    assert read_index(made / "holdout").rows == result.holdout
    prior = read_prior(load_folder(made / "version", "", "made"))
    assert prior is not None
    assert (prior.lessons, prior.labels) == (result.lessons + result.replayed, MORE)
    with np.load(made / "version" / "golden.npz") as golden:
        assert golden["outputs/probabilities"].shape == (8, 11)


def test_a_fleet_is_sent_what_its_lessons_taught_with_a_certificate_and_a_lineage(tmp_path):
    with control_plane(tmp_path / "plane") as plane:
        version = make_version(tmp_path, "v1", 2.0)
        top = make_version(tmp_path, "top", 0.0)
        convert_to_version(make_knowing(tmp_path / "top.keras"), top / "manifest.toml", None, "float", top_of(tmp_path))
        replay = tmp_path / "replay.npz"
        chance = np.random.default_rng(8)
        np.savez(replay, image=np.stack([pattern(number % 3, chance) for number in range(40)]), label=np.arange(40) % 3)
        source = make_keras(tmp_path / "model.keras")
        command(models_app, "model", plane, "publish", str(version), "--source", str(source), "--replay", str(replay),
                "--json")  # fmt: skip
        command(models_app, "model", plane, "publish", str(top_of(tmp_path)), "--json")
        with (
            following(tmp_path, plane, "dev-1") as device,
            following(tmp_path, plane, "cloud-1", "cloud") as cloud,
            plane.stubs() as operator,
        ):
            roll_out(operator, "v1", "tier=device")
            roll_out(operator, "top", "tier=cloud")
            for agent, wanted in ((device, "v1"), (cloud, "top")):
                until(lambda agent=agent, wanted=wanted: version_of(agent) == wanted, 60, "the first versions")
            assert len(submit(plane, [taught(number, **origin(number)) for number in range(700)]).kept) == 700
            done = json.loads(command(train_app, "train", plane, "pattern", "--set", "epochs=5", "--set",
                                      "learning_rate=0.01", "--rollout", "--quantise", "float", "--max-loss", "10%",
                                      "--confidence", "90%", "--json"))  # fmt: skip
            result = done["result"]
            assert (done["state"], done["reason"], result["lessons"] + result["holdout"]) == ("succeeded", "", 700)
            assert result["replayed"] > 20
            assert result["rollout"].startswith("rollouts/pattern-"), result["notes"]
            made = result["version"].rpartition("/")[2]
            until(lambda: version_of(device) == made, 60, "what was trained")
            command(rollouts_app, "rollout", plane, "cancel", result["rollout"])  # it would soak for long
            found = until(lambda: later(plane, 700, made), 60, "what came of its questions")
            assert found == {"upriver.train", "upriver.train.lessons", "upriver.rollout"}
        ancestors = json.loads(command(lineage_app, "lineage", plane, f"pattern/{made}", "--json"))
        assert [one["version"] for one in ancestors] == [result["version"], "models/pattern/versions/v1"]
        assert ancestors[0]["training"]["result"]["lessons_digest"] == result["lessons_digest"]
        assert len(ancestors[0]["policies"]) == 1
        assert ancestors[0]["source_digest"] != ancestors[1]["source_digest"] != ""


def origin(number):
    """Where the question of a lesson was."""
    return {"trace": f"{number + 1:032x}", "span": f"{number + 1:016x}"}


def later(plane, questions, version):
    """The names of spans that speak of any of so many questions; None until the end of the rollout is told."""
    database = open_spans(f"sqlite:///{plane.state}/spans.sqlite")
    store = SpanStore(database)
    spans = [span for number in range(questions) for span in store.later((number + 1).to_bytes(16))]
    database.close()
    told = {span.attributes.get("upriver.training", span.attributes.get("upriver.rollout", "")) for span in spans}
    assert len(told) <= 2, "one training, one rollout"
    return {span.name for span in spans} if len(told) == 2 else None


def top_of(folder):
    made = folder / "top-converted"
    made.mkdir(exist_ok=True)
    return made
