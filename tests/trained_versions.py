"""Lessons, a version and its Keras model for tests of training; importing TensorFlow is left to who makes the model."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.handed_lessons import lesson
from tests.versions import LABELS, make_version
from upriver.listing import digest
from upriver.questions import RowsWriter
from upriver_control.jobs.training import TrainSpec
from upriver_control.lessons.tables import table_of
from upriver_control.training.order import BASE, LESSONS, REPLAY, Order, write_order

BASE_DIGEST = "sha256:" + "b" * 64


def pattern(label: int, chance: np.random.Generator) -> np.ndarray:
    """An image with a bright row where its label says, in noise."""
    image = 0.3 * chance.random((14, 14, 1))
    image[label + 1] += 0.7
    return image.astype(np.float32)


def lessons_of(labels, count: int, region: str, seed: int = 0, names=LABELS) -> pa.Table:
    """Lessons of some labels in a region, as a training is given them."""
    chance = np.random.default_rng(seed)
    made = []
    for number in range(count):
        label = labels[number % len(labels)]
        shares = [0.9 if name == names[label] else 0.1 / (len(names) - 1) for name in names]
        made.append(
            lesson(
                f"{region}-{number}", names[label], region, "pattern", pattern(label, chance), labels=names,
                scores=shares,
            )
        )  # fmt: skip
    table = table_of(made, 1_790_000_000.0)
    return table.append_column("region", pa.array([region] * count))


def write_replay(path: Path, labels, count: int) -> str:
    """A questions file with labels; gives its digest."""
    chance = np.random.default_rng(9)
    with path.open("wb") as out, RowsWriter(out) as writer:
        names = np.empty(count, object)
        names[:] = [LABELS[labels[number % len(labels)]] for number in range(count)]
        images = np.stack([pattern(labels[number % len(labels)], chance) for number in range(count)])
        writer.add({"inputs/image": images, "labels": names})
    return digest(path.read_bytes())


def make_order(folder: Path, spec: TrainSpec, tables, **more) -> Path:
    """An order with a base version, which answers at random, and lessons; gives its path."""
    folder.mkdir(parents=True, exist_ok=True)
    make_version(folder, "v1", 0.5).rename(folder / BASE)
    (folder / LESSONS).mkdir()
    for number, table in enumerate(tables):
        pq.write_table(table, folder / LESSONS / f"part-{number}.parquet")
    if spec.replay:
        write_replay(folder / REPLAY, (0, 1, 2), 60)
    return write_order(Order(spec, str(folder.absolute()), "train-t1", **more))


SPEC = TrainSpec("models/pattern/versions/v1", BASE_DIGEST)


def make_keras(path: Path, labels: int = 10) -> Path:
    """A Keras model of the version's inputs and outputs, untrained."""
    import tensorflow as tf  # only where it is installed, and slow

    tf.keras.utils.set_random_seed(3)
    image = tf.keras.Input((14, 14, 1), name="image")
    hidden = tf.keras.layers.Flatten()(image)
    embedding = tf.keras.layers.Dense(16, "relu", name="embedding")(hidden)
    scores = tf.keras.layers.Dense(labels, "softmax", name="probabilities")(embedding)
    tf.keras.Model(image, [scores, embedding]).save(path)
    return path


def make_knowing(path: Path, epochs: int = 4) -> Path:
    """The same, trained until it knows all patterns."""
    import tensorflow as tf  # only where it is installed, and slow

    model = tf.keras.models.load_model(make_keras(path))
    chance = np.random.default_rng(5)
    images = np.stack([pattern(number % 10, chance) for number in range(1000)])
    learner = tf.keras.Model(model.inputs, model.outputs[0])
    learner.compile(tf.keras.optimizers.Adam(0.01), "sparse_categorical_crossentropy")
    learner.fit(images, np.arange(1000) % 10, epochs=epochs, verbose=0)
    model.save(path)
    return path


def work(order: Path, timeout: float = 300.0):
    """Runs the work on an order; gives what it said last, and its log."""
    command = [sys.executable, "-P", "-m", "upriver_control.training.work", str(order)]
    log = order.with_name("log")
    with (
        log.open("wb") as stderr,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True, start_new_session=True
        ) as child,
    ):
        listening, child.stdin = child.stdin, None  # it ends when nobody listens, and `communicate` closes stdin
        try:
            lines = child.communicate(timeout=timeout)[0].splitlines()
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            raise
        listening.close()
    told = log.read_text("utf-8", "replace")
    assert lines, told[-2000:]
    return json.loads(lines[-1]), told
