"""Whether two answers to a question are the same, per task: what a certificate counts and an audit measures.

One more task is one more entry in the table: a name, its settings with their defaults, and a function.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Answered:
    """Answers to [rows] questions as agreement looks at them; what a task does not have is left out.

    Classifiers: `scores` [rows, classes] with `labels` naming the columns. Detectors: `boxes` [rows, boxes, 4] (top,
    left, bottom, right), `classes` and `scores` [rows, boxes], `counts` [rows], `labels` naming the classes. Numbers:
    `values` [rows, ...].
    """

    scores: NDArray[Any] | None = None
    labels: tuple[str, ...] = ()
    boxes: NDArray[Any] | None = None
    classes: NDArray[Any] | None = None
    counts: NDArray[Any] | None = None
    values: NDArray[Any] | None = None


@dataclass(frozen=True, slots=True)
class Agreement:
    """An agreement function by its name, with settings that differ from its defaults or all of them."""

    name: str = "same_label"
    settings: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        problems = problems_of(self.name, self.settings)
        if problems:
            raise ValueError("; ".join(problems))

    def __hash__(self) -> int:
        return hash((self.name, tuple(sorted(self.settings.items()))))

    def setting(self, name: str) -> float:
        """A setting, its default when it was not given."""
        return self.settings.get(name, _TABLE[self.name].defaults[name])

    def __call__(self, local: Answered, top: Answered) -> Flags:
        """Which rows agree with the top's: bool [rows]; raises ValueError when an answer lacks what is compared."""
        return _TABLE[self.name].function(self, local, top)


def same_label(agreement: Agreement, local: Answered, top: Answered) -> Flags:
    """The best label is the same."""
    return np.asarray(_best(local) == _best(top), bool)


def top_k(agreement: Agreement, local: Answered, top: Answered) -> Flags:
    """The top's best label is among the k best here."""
    scores = _required(local.scores, "scores")
    k = min(int(agreement.setting("k")), scores.shape[1])
    names = _names(local, scores.shape[1])
    best = names[np.argsort(-np.nan_to_num(scores, nan=-math.inf), axis=1, kind="stable")[:, :k]]
    return np.asarray((best == _best(top)[:, np.newaxis]).any(axis=1), bool)


def tolerance(agreement: Agreement, local: Answered, top: Answered) -> Flags:
    """Every number differs by at most absolute + relative·|top's|."""
    mine = _required(local.values, "values").astype(np.float64)
    theirs = _required(top.values, "values").astype(np.float64)
    if mine.shape != theirs.shape:
        raise ValueError(f"values of shapes {mine.shape} and {theirs.shape} can't be compared")
    with np.errstate(invalid="ignore"):
        bound = agreement.setting("absolute") + agreement.setting("relative") * np.abs(theirs)
        close = (np.abs(mine - theirs) <= bound) | (mine == theirs)
    return np.asarray(close.reshape(len(close), -1).all(axis=1), bool)


def boxes_f1(agreement: Agreement, local: Answered, top: Answered) -> Flags:
    """Boxes of the same label match greedily, best score first, from IoU `iou` on; F1 of the matches is at least `f1`.

    Boxes with a score below `score` do not count; two answers without boxes agree.
    """
    mine, theirs = _boxes(agreement, local), _boxes(agreement, top)
    if len(mine) != len(theirs):
        raise ValueError(f"{len(mine)} rows and {len(theirs)} rows can't be compared")
    least, iou = agreement.setting("f1"), agreement.setting("iou")
    return np.array([_f1(one, other, iou) >= least for one, other in zip(mine, theirs, strict=True)], bool)


@dataclass(frozen=True, slots=True)
class _Entry:
    function: Callable[[Agreement, Answered, Answered], Flags]
    defaults: Mapping[str, float]


_TABLE: Final[Mapping[str, _Entry]] = {
    "same_label": _Entry(same_label, {}),
    "top_k": _Entry(top_k, {"k": 5.0}),
    "boxes_f1": _Entry(boxes_f1, {"iou": 0.5, "f1": 0.8, "score": 0.5}),
    "tolerance": _Entry(tolerance, {"absolute": 0.0, "relative": 0.05}),
}
NAMES: Final = tuple(_TABLE)
_RANGES: Final[Mapping[str, tuple[float, float]]] = {
    "k": (1.0, 1_000_000.0),
    "iou": (0.0, 1.0),
    "f1": (0.0, 1.0),
    "score": (-1e9, 1e9),
    "absolute": (0.0, 1e300),
    "relative": (0.0, 1e300),
}


def problems_of(name: str, settings: Mapping[str, float]) -> list[str]:
    """Everything that is wrong with an agreement; empty when there is such a one."""
    if name not in _TABLE:
        return [f"agreement {name!r}: expected one of {', '.join(_TABLE)}"]
    problems = []
    for key, value in settings.items():
        if key not in _TABLE[name].defaults:
            known = ", ".join(_TABLE[name].defaults) or "none"
            problems.append(f"agreement {name} has no setting {key!r}; it has: {known}")
        elif not _RANGES[key][0] <= value <= _RANGES[key][1]:
            low, high = _RANGES[key]
            problems.append(f"agreement {name}: {key} = {value}: expected {low:g} to {high:g}")
    return problems


def _required(array: "NDArray[Any] | None", what: str) -> "NDArray[Any]":
    if array is None:
        raise ValueError(f"an answer without {what} can't be compared")
    return array


def _names(answered: Answered, columns: int) -> "NDArray[Any]":
    if answered.labels and len(answered.labels) != columns:
        raise ValueError(f"{len(answered.labels)} labels for {columns} columns")
    return np.asarray(answered.labels or [str(column) for column in range(columns)])


def _best(answered: Answered) -> "NDArray[Any]":
    scores = _required(answered.scores, "scores")
    return np.asarray(_names(answered, scores.shape[1])[np.nan_to_num(scores, nan=-math.inf).argmax(axis=1)])


_Boxes = Sequence[tuple[str, "NDArray[np.float64]"]]


def _boxes(agreement: Agreement, answered: Answered) -> list[_Boxes]:
    """Each row's boxes that count, best first: (label, coordinates)."""
    boxes, classes = _required(answered.boxes, "boxes"), _required(answered.classes, "classes")
    scores = _required(answered.scores, "scores")
    rows, most = scores.shape
    counts = np.full(rows, most) if answered.counts is None else answered.counts.reshape(rows)
    found: list[_Boxes] = []
    for row in range(rows):
        real = [
            index for index in range(min(most, int(counts[row]))) if scores[row, index] >= agreement.setting("score")
        ]
        real.sort(key=lambda index: -float(scores[row, index]))
        found.append([(_label(answered, classes[row, index]), boxes[row, index].astype(np.float64)) for index in real])
    return found


def _label(answered: Answered, number: float) -> str:
    index = int(number)
    return answered.labels[index] if 0 <= index < len(answered.labels) else str(index)


def _f1(mine: _Boxes, theirs: _Boxes, iou: float) -> float:
    if not mine and not theirs:
        return 1.0
    free = list(range(len(theirs)))
    matched = 0
    for label, box in mine:
        best = max((i for i in free if theirs[i][0] == label), key=lambda i: _iou(box, theirs[i][1]), default=None)
        if best is not None and _iou(box, theirs[best][1]) >= iou:
            free.remove(best)
            matched += 1
    return 2.0 * matched / (len(mine) + len(theirs))


def _iou(one: "NDArray[np.float64]", other: "NDArray[np.float64]") -> float:
    height = min(one[2], other[2]) - max(one[0], other[0])
    width = min(one[3], other[3]) - max(one[1], other[1])
    if height <= 0 or width <= 0:
        return 0.0
    shared = float(height * width)
    return shared / (_area(one) + _area(other) - shared)


def _area(box: "NDArray[np.float64]") -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))
