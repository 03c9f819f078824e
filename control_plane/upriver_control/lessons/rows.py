"""What may become a row of a Parquet file of lessons."""

import math
from typing import Final
from urllib.parse import quote

from upriver.errors import InvalidInput
from upriver.listing import is_digest
from upriver.tensors import DTYPES, Datatype
from upriver.v1 import train_pb2 as pb
from upriver_control.store.records import check_id

MAX_ID: Final = 200
MAX_LABEL: Final = 300
MAX_LABELS: Final = 10_000
MAX_INPUTS: Final = 16
MAX_BYTES: Final = 2 << 20


def check(lesson: pb.HandedLesson) -> None:
    """Raises InvalidInput with everything that keeps a lesson from being a row."""
    problems = [
        f"{name} has {len(getattr(lesson, name))} characters; expected {least} to {most}"
        for name, least, most in (
            ("id", 1, MAX_ID),
            ("agent", 1, MAX_ID),
            ("tier", 1, 63),
            ("region", 1, MAX_ID),
            ("label", 1, MAX_LABEL),
            ("own_label", 0, MAX_LABEL),
            ("teacher_agent", 0, MAX_ID),
            ("teacher_tier", 0, 63),
            ("trace", 0, 64),
            ("span", 0, 32),
        )
        if not least <= len(getattr(lesson, name)) <= most
    ]
    problems += [
        f"{name} has characters that can't be printed"
        for name in ("id", "agent", "tier", "region")
        if not getattr(lesson, name).isprintable()
    ]
    if len(quote(lesson.region, safe="")) > MAX_ID:
        problems.append(f"region takes {len(quote(lesson.region, safe=''))} bytes in a path; expected at most {MAX_ID}")
    if lesson.ByteSize() > MAX_BYTES:
        problems.append(f"it takes {lesson.ByteSize()} bytes; expected at most {MAX_BYTES}")
    if not is_digest(lesson.version_digest):
        problems.append(f"version_digest is {lesson.version_digest[:80]!r}; expected sha256: and 64 digits")
    if len(lesson.labels) > MAX_LABELS or (lesson.scores and len(lesson.labels) != len(lesson.scores)):
        problems.append(f"{len(lesson.scores)} scores of {len(lesson.labels)} labels; expected as many")
    if not all(map(math.isfinite, (lesson.confidence, lesson.own_confidence, *lesson.scores))):
        problems.append("a number is not finite")
    if not 0 < len(lesson.inputs) <= MAX_INPUTS or len({one.name for one in lesson.inputs}) != len(lesson.inputs):
        problems.append(f"{len(lesson.inputs)} inputs; expected 1 to {MAX_INPUTS} of different names")
    problems += [problem for one in lesson.inputs if (problem := _problem(one))]
    try:
        check_id(lesson.model, "model")
    except InvalidInput as error:
        problems.append(str(error))
    if problems:
        raise InvalidInput("; ".join(problems))


def is_id(text: str) -> bool:
    """Whether it can be a lesson's id. PostgreSQL keeps no text with NUL."""
    return 0 < len(text) <= MAX_ID and text.isprintable()


def _problem(one: pb.HandedInput) -> str:
    """Why an input can't be read; empty when it can."""
    if not 0 < len(one.name) <= MAX_ID:
        return f"an input's name has {len(one.name)} characters; expected 1 to {MAX_ID}"
    if len(one.shape) > 8 or any(size < 0 for size in one.shape):
        return f"input {one.name}: shape {list(one.shape)}; expected up to 8 sizes of at least 0"
    count = math.prod(one.shape)
    if one.datatype == Datatype.BYTES:
        return "" if count == 1 else f"input {one.name}: {count} BYTES; expected one"
    dtype = DTYPES.get(one.datatype)
    if dtype is None:
        return f"input {one.name}: datatype {one.datatype[:20]!r}; expected one of {', '.join(DTYPES)}, BYTES"
    wanted = count * dtype.itemsize
    if len(one.data) != wanted:
        return f"input {one.name}: {len(one.data)} bytes; {one.datatype} of {list(one.shape)} takes {wanted}"
    return ""
