"""A training on a real Ray cluster on this machine, where Ray and TensorFlow are installed."""

from dataclasses import replace
from importlib.util import find_spec

import pyarrow.parquet as pq
import pytest

from tests.trained_versions import SPEC, lessons_of, make_keras, make_order, work
from upriver_control.jobs.training import Executor
from upriver_control.training.order import MADE, SOURCE, read_result

pytestmark = [
    pytest.mark.real_ray,
    pytest.mark.skipif(find_spec("ray") is None, reason="Ray is not installed"),
    pytest.mark.skipif(find_spec("tensorflow") is None, reason="TensorFlow is of the train extra"),
]


def test_a_cluster_reads_the_lessons_and_trains_as_a_process_here_would(tmp_path):
    url = tmp_path / "lessons"
    url.mkdir()
    for number, region in enumerate(("north", "south")):
        pq.write_table(lessons_of((3, 4, 5), 120, region, number), url / f"part-{number}.parquet")
    spec = replace(SPEC, executor=Executor.RAY, ray_address="local", quantise="float",
                   settings={"epochs": 8, "learning_rate": 0.01})  # fmt: skip
    order = make_order(tmp_path / "job", spec, [], lessons_url=str(url))
    make_keras(tmp_path / "job" / SOURCE)
    last, log = work(order, 240)
    assert last == {"made": True}, (last, log[-3000:])
    result = read_result((tmp_path / "job" / MADE / "result.json").read_text())
    assert result.lessons + result.holdout == 240
    assert [(one.region, one.accuracy > 0.9) for one in result.evaluations] == [("north", True), ("south", True)]
    assert (tmp_path / "job" / MADE / "version" / "model.tflite").exists()
    assert "epoch 8" in log


def test_a_cluster_that_is_not_there_is_named(tmp_path):
    spec = replace(SPEC, executor=Executor.RAY, ray_address="127.0.0.1:1")
    last, _ = work(make_order(tmp_path / "job", spec, [], lessons_url=str(tmp_path)), 240)
    assert "there is no Ray cluster at '127.0.0.1:1'" in last["failed"]
