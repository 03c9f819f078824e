"""Weights written into a .tflite file in place: nothing else changes, and what the demo makes of them is a version."""

import numpy as np
import pytest

from demo.candidates import KEPT, WORSE
from demo.control import MODELS
from demo.weights import pruned, read_layers, with_layers
from upriver.delta import make_delta
from upriver.errors import ModelInvalid
from upriver_agent.versions import open_version

DEVICE = (MODELS / "device" / "model.tflite").read_bytes()


def test_layers_come_in_order_and_written_back_they_are_the_same_file():
    layers = read_layers(DEVICE)
    assert [layer.weights.shape for layer in layers] == [(8, 3, 3, 1), (12, 3, 3, 8), (10, 3, 3, 12), (10, 160)]
    assert [len(layer.bias) for layer in layers] == [8, 12, 10, 10]
    assert with_layers(DEVICE, layers) == DEVICE


def test_another_last_layer_changes_no_other_byte():
    *layers, last = read_layers(DEVICE)
    other = with_layers(DEVICE, [*layers, pruned(last, 0.5)])
    changed = sum(one != two for one, two in zip(DEVICE, other, strict=True))
    assert 0 < changed <= last.weights.nbytes / 2
    assert np.count_nonzero(read_layers(other)[-1].weights) == last.weights.size / 2


def test_weights_that_are_not_floats_are_refused():
    with pytest.raises(ModelInvalid, match="float32"):
        read_layers((MODELS / "far-edge" / "model.tflite").read_bytes())


def test_the_better_device_model_shares_all_but_its_last_two_layers_with_the_one_before(tmp_path):
    better = MODELS / "device-better" / "model.tflite"
    layers, others = read_layers(DEVICE), read_layers(better.read_bytes())
    for one, two in zip(layers[:2], others[:2], strict=True):
        assert np.array_equal(one.weights, two.weights)
    assert with_layers(DEVICE, others) == better.read_bytes()
    assert make_delta(MODELS / "device" / "model.tflite", better, tmp_path / "delta") < 0.6 * len(DEVICE)


def test_the_worse_device_model_is_a_version_of_its_own(tmp_path):
    made = open_version(WORSE.folder(tmp_path), tmp_path / "state")
    assert made.manifest.model == "digits"
    assert made.manifest.version == "device-14px-pruned"
    last = read_layers((tmp_path / "device-worse" / "model.tflite").read_bytes())[-1]
    assert np.count_nonzero(last.weights) == pytest.approx(KEPT * last.weights.size, abs=1)
