"""Which lessons are meant, and lessons in files."""

import json
from dataclasses import replace

import numpy as np
import pytest

from upriver.cli.lesson_files import write_lessons
from upriver.errors import DiskTrouble, InvalidInput
from upriver.lessons import Lesson, LessonState, choice_of, moment, parse_lesson
from upriver.v1 import lesson_pb2 as pb

NOW = 1_800_000_000.0


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("90s", NOW - 90),
        ("1.5h", NOW - 5400),
        ("30d", NOW - 30 * 86_400),
        ("999999d", 0.0),
        ("2026-05-01T12:00:00Z", 1_777_636_800.0),
        ("2026-05-01T14:00:00+02:00", 1_777_636_800.0),
    ],
)
def test_a_time_is_a_moment_or_so_long_ago(text, at):
    assert moment(text, NOW) == at
    assert choice_of(since=text, now=NOW).since_time.seconds == int(at)


@pytest.mark.parametrize("text", ["yesterday", "-3h", "3 h", "1969-01-01T00:00:00Z", "9999-01-01T00:00:00Z", "1e9d"])
def test_other_times_are_refused_with_examples(text):
    with pytest.raises(InvalidInput, match="expected"):
        moment(text, NOW)


def lesson(number, **changes):
    made = parse_lesson(
        pb.Lesson(
            id=f"q-{number}.0",
            model="digits",
            version_digest="sha256:a",
            state=pb.LESSON_STATE_HELD,
            student_label="1",
            student_confidence=float("-inf"),
            label="7",
            probabilities={"7": 0.5},
            embedding=np.array([number, 2], np.float16).tobytes(),
        )
    )
    return replace(made, **changes)


def test_a_lesson_that_can_not_be_read_is_refused():
    assert lesson(1).state is LessonState.HELD
    assert parse_lesson(pb.Lesson(state=99)).state is LessonState.HELD
    with pytest.raises(InvalidInput, match="3 bytes"):
        parse_lesson(pb.Lesson(embedding=b"abc"))


def test_lines_and_arrays_hold_the_same(tmp_path):
    lessons: list[Lesson] = [lesson(1, input=b"\xffinput"), lesson(2)]
    assert write_lessons(iter(lessons), tmp_path / "a.jsonl") == 2
    assert write_lessons(iter(lessons), tmp_path / "a.npz") == 2
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [line["embedding"] for line in lines] == [[1, 2], [2, 2]]
    assert lines[0]["input"] == "/2lucHV0"
    assert lines[0]["student"]["confidence"] is None
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays["embedding"].tolist() == [[1, 2], [2, 2]]
        assert arrays["label"].tolist() == ["7", "7"]
        assert arrays["student_confidence"].tolist() == [-np.inf] * 2
        assert arrays["inputs/q-1.0"] == b"\xffinput"
    assert write_lessons(iter(()), tmp_path / "none.npz") == 0


def test_a_file_that_can_not_be_written_is_told_and_leaves_nothing(tmp_path):
    with pytest.raises(InvalidInput, match=r"\.jsonl or \.npz"):
        write_lessons(iter(()), tmp_path / "a.csv")
    with pytest.raises(DiskTrouble, match="nowhere"):
        write_lessons(iter(()), tmp_path / "nowhere" / "a.npz")
    with pytest.raises(InvalidInput, match="several versions"):
        write_lessons(iter([lesson(1), lesson(2, version_digest="sha256:b")]), tmp_path / "a.npz")
    assert list(tmp_path.iterdir()) == []
