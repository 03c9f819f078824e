"""The training that comes with Upriver: the base's Keras model goes on learning, from lessons and what is replayed.

With `convert/tensorflow_models.py` the only module that imports TensorFlow. A label that the base does not have gets a
column of the last layer, which begins as the mean of the others.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import tensorflow as tf

from upriver.errors import InvalidInput
from upriver_control.training.dataset import BaseVersion, Batch, Dataset

DEFAULTS: Final[Mapping[str, float]] = {"epochs": 6, "learning_rate": 5e-4, "batch": 64, "seed": 0}
OTHERS: Final = ("new_label_lessons",)
"""Settings of the same name that others heed."""


def train(dataset: Dataset, base: BaseVersion) -> Path:
    """Fine-tunes and gives the new Keras file; raises InvalidInput naming what is wrong with settings or source."""
    settings = _settings(dataset.settings)
    if base.source is None:
        raise InvalidInput(f"{base.name} has no Keras model beside it")
    tf.keras.utils.set_random_seed(int(settings["seed"]))
    model = tf.keras.models.load_model(base.source, compile=False)
    place = _place(model, base)
    if len(dataset.labels) > len(base.labels):
        model = _widened(model, place, len(dataset.labels))
    scores = model.outputs[place]
    if scores.shape[-1] != len(dataset.labels):
        raise InvalidInput(f"{base.source.name} gives {scores.shape[-1]} scores; expected {len(dataset.labels)}")
    learner = tf.keras.Model(model.inputs, scores)
    loss = tf.keras.losses.CategoricalCrossentropy(from_logits=base.logits)
    learner.compile(tf.keras.optimizers.Adam(settings["learning_rate"]), loss, metrics=["accuracy"])
    names = [tensor.name.partition(":")[0] for tensor in model.inputs]
    size = int(settings["batch"])
    for epoch in range(int(settings["epochs"])):
        seen, lost, right = 0, 0.0, 0.0
        for batch in dataset.batches(size, int(settings["seed"]) + epoch):
            count = len(batch.targets)
            step_loss, step_right = learner.train_on_batch(_given(batch, names), batch.targets)
            learner.reset_metrics()
            seen, lost, right = seen + count, lost + count * float(step_loss), right + count * float(step_right)
        print(f"epoch {epoch + 1}: {seen} rows, loss {lost / seen:.4f}, accuracy {right / seen:.4f}", flush=True)
    path = dataset.folder / "trained.keras"
    model.save(path)
    return path


def _settings(given: Mapping[str, float]) -> dict[str, float]:
    strange = sorted(given.keys() - {*DEFAULTS, *OTHERS})
    if strange:
        raise InvalidInput(f"settings {', '.join(strange)}: expected {', '.join((*DEFAULTS, *OTHERS))}")
    found = {**DEFAULTS, **given}
    if found["epochs"] < 1 or found["batch"] < 1 or not found["learning_rate"] > 0:
        raise InvalidInput(f"settings: epochs {found['epochs']:g}, batch {found['batch']:g} and learning_rate "
                           f"{found['learning_rate']:g}; expected at least 1, at least 1 and above 0")  # fmt: skip
    return found


def _place(model: Any, base: BaseVersion) -> int:
    """Which of the model's outputs the scores are."""
    names = list(model.output_names)
    if base.scores in names:
        return names.index(base.scores)
    if len(names) == 1:
        return 0
    raise InvalidInput(f"{base.source}: has outputs {', '.join(names)}; expected {base.scores!r} among them")


def _widened(model: Any, place: int, labels: int) -> Any:
    """The same model with more labels: its last dense layer has more units."""
    layer = model.outputs[place]._keras_history[0]
    while not isinstance(layer, tf.keras.layers.Dense):
        before = layer.input
        if isinstance(before, list | tuple) or not isinstance(
            layer, tf.keras.layers.Activation | tf.keras.layers.Softmax
        ):
            raise InvalidInput(
                f"its scores come from a layer {layer.name} ({type(layer).__name__}); labels can be added only to a"
                " dense layer, with an activation behind it or none: train with code of your own"
            )
        layer = before._keras_history[0]

    def cloned(one: Any) -> Any:
        config = one.get_config()
        if one is layer:
            config["units"] = labels
        return type(one).from_config(config)

    wider = tf.keras.models.clone_model(model, clone_function=cloned)
    for one in model.layers:
        weights = one.get_weights()
        if one is layer:
            weights = [_more(array, labels) for array in weights]
        wider.get_layer(one.name).set_weights(weights)
    return wider


def _more(array: Any, labels: int) -> Any:
    added = np.repeat(array.mean(axis=-1, keepdims=True), labels - array.shape[-1], axis=-1)
    return np.concatenate([array, added], axis=-1)


def _given(batch: Batch, names: list[str]) -> Any:
    missing = sorted(set(names) - batch.inputs.keys())
    if missing:
        raise InvalidInput(f"the source takes {', '.join(missing)}; the version gives {', '.join(batch.inputs)}")
    given = [batch.inputs[name] for name in names]
    return given if len(given) > 1 else given[0]
