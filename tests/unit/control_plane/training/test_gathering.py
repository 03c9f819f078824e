"""Which lessons are trained on, which are held out for ever, and what each teaches."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.trained_versions import lessons_of
from tests.versions import LABELS
from upriver.errors import InvalidInput
from upriver_control.intake.contract import Input
from upriver_control.training.dataset import Batch, Dataset, write_chunk
from upriver_control.training.gathering import (
    OTHER_INPUTS,
    Row,
    data_digest,
    enough,
    is_held_out,
    learnt_labels,
    rows_of,
    spread,
    stacked,
    targets_of,
)
from upriver_control.training.manifests import labels_of, read_manifest, renewed, scores_of

IMAGE = Input("image", np.dtype("<f4"), (14, 14, 1))


@given(id_=st.text(max_size=40), share=st.floats(0.01, 0.99))
def test_a_lesson_is_held_out_by_its_id_alone_and_stays_so_when_more_are(id_, share):
    if is_held_out(id_, share / 2):
        assert is_held_out(id_, share)


def test_the_share_that_is_held_out_is_as_asked_for():
    held = sum(is_held_out(f"question-{number}.0", 0.2) for number in range(20_000))
    assert 3_700 < held < 4_300
    assert [number for number in range(20) if is_held_out(f"question-{number}.0", 0.2)] == [0, 2, 7, 9, 14, 17]


def test_lessons_with_other_inputs_than_the_model_s_are_left_out_and_counted():
    table = lessons_of((1, 2), 6, "north")
    left_out = Counter()
    rows = list(rows_of(table, (IMAGE,), left_out))
    assert (len(rows), rows[0].label, rows[0].region, left_out) == (6, LABELS[1], "north", Counter())
    assert stacked(rows, (IMAGE,))["image"].shape == (6, 14, 14, 1)
    other = Input("image", np.dtype("u1"), (14, 14, 1))
    assert list(rows_of(table, (other,), left_out)) == []
    assert list(rows_of(table, (Input("sound", np.dtype("<f4"), (3,)),), left_out)) == []
    assert left_out == {OTHER_INPUTS: 12}


def row(label, **soft):
    return Row("id", "north", label, {}, soft)


def test_labels_that_enough_lessons_have_are_learnt_behind_the_base_s():
    rows = [row("b"), row("new"), row("new"), row("rare")]
    assert learnt_labels(("a", "b"), rows, 2) == ("a", "b", "new")


def test_what_a_lesson_teaches_is_what_its_teacher_said_where_that_is_the_answer():
    labels = ("a", "b", "c")
    rows = [
        row("a", a=0.5, b=0.3, z=0.2),  # z is not learnt: its share is shared out
        row("b", a=0.9, b=0.1),  # somebody corrected it
        row("c"),  # a person said it
        row("c", a=2.0, c=8.0),  # no probabilities
    ]
    wanted = [[0.625, 0.375, 0], [0, 1, 0], [0, 0, 1], [0, 0, 1]]
    np.testing.assert_allclose(targets_of(rows, labels), wanted, atol=1e-6)


@pytest.mark.parametrize("count", [3, 500, 501, 700, 999, 1400])
def test_rows_that_stand_for_all_are_of_lessons_and_of_what_is_replayed_behind_them(count):
    taken = spread(range(count), 500)
    assert len(set(taken)) == min(count, 500)
    assert taken[0] == 0
    assert taken[-1] >= count - 1 - count / 500


def test_the_digest_of_data_is_of_ids_and_labels_whatever_their_order():
    assert data_digest([("a", "1"), ("b", "2")], "base") == data_digest([("b", "2"), ("a", "1")], "base")
    assert data_digest([("a", "1")], "base") != data_digest([("a", "2")], "base")
    assert data_digest([("a", "1")], "base") != data_digest([("a", "1")], "other")


def test_too_little_says_what_is_missing():
    with pytest.raises(InvalidInput, match=r"0 lessons to train on and 3 to hold it against.*learning.share"):
        enough(0, 3)


@pytest.mark.parametrize("size", [1, 7, 16, 100])
def test_batches_have_every_row_once_in_another_order_each_time(tmp_path, size):
    chunks, number = [], 0
    for rows in (10, 3, 17):
        values = np.arange(number, number + rows, dtype=np.float32)
        number += rows
        chunks.append(tmp_path / f"{number}.npz")
        batch = Batch({"x": values[:, None]}, np.stack([values, -values], 1), values % 2 == 0)
        write_chunk(chunks[-1], batch)
    dataset = Dataset(("a", "b"), 30, {}, tmp_path, chunks)
    orders = []
    for seed in (1, 2):
        batches = list(dataset.batches(size, seed))
        assert all(len(one.targets) == size for one in batches[:-1])
        seen = np.concatenate([one.inputs["x"][:, 0] for one in batches])
        for one in batches:
            np.testing.assert_array_equal(one.targets[:, 0], one.inputs["x"][:, 0])
            np.testing.assert_array_equal(one.replayed, one.targets[:, 0] % 2 == 0)
        assert sorted(seen) == list(range(30))
        orders.append(list(seen))
    assert orders[0] != orders[1]


MANIFEST = """
format = 1
model = "digits"
version = "v1"
[task]
kind = "classify"
labels = ["0", "a \\"b\\""]
[[canonical]]
name = "image"
datatype = "UINT8"
shape = [28, 28, 1]
[[inputs]]
tensor = "image"
from = "image"
resize = { height = 14, width = 14, interpolation = "area" }
scale = 0.00392156862745098
[outputs]
scores = "p"
scores_are = "logits"
[policy]
score = "max_probability"
threshold = inf
"""


def test_a_manifest_is_written_anew_with_nothing_else_changed():
    document = read_manifest(MANIFEST, "v")
    made = read_manifest(renewed(document, "v2", ("0", 'a "b"', "ä"), "told"), "v")
    assert (labels_of(made), scores_of(made)) == (("0", 'a "b"', "ä"), ("p", True))
    same = {**made, "version": "v1", "task": document["task"]}
    del same["description"]
    assert same == document
    assert made["version"] == "v2"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("= 1", "can't be read"),
        (MANIFEST.replace('"classify"', '"scalar"'), "its task is 'scalar'"),
        (MANIFEST.replace('labels = ["0", "a \\"b\\""]', ""), "no task.labels"),
    ],
)
def test_a_manifest_that_lessons_can_t_train_says_why(text, told):
    with pytest.raises(InvalidInput, match=told):
        read_manifest(text, "models/m/versions/v")
