"""A version's manifest: what the model does, what callers send, how its own input is made of that, its policy.

Plain values; `parse_manifest` in `upriver_agent.versions.parsing` reads them from `manifest.toml`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from upriver.agreement import Agreement
from upriver.policies import PolicyDocument
from upriver.scores import ScoreKind
from upriver.tensors import Datatype

DEFAULT_MAX_PIXELS: Final = 16_777_216


class TaskKind(StrEnum):
    """What a model answers with: a class, boxes around things, or one number."""

    CLASSIFY = "classify"
    DETECT = "detect"
    SCALAR = "scalar"


AGREEMENT_OF: Final = {
    TaskKind.CLASSIFY: "same_label",
    TaskKind.DETECT: "boxes_f1",
    TaskKind.SCALAR: "tolerance",
}
"""When two answers of a task are the same, unless a policy says otherwise; see `upriver.agreement`."""


class Interpolation(StrEnum):
    """How pixels are resampled; the exact meaning is in `upriver_agent.preprocess.resample`."""

    NEAREST = "nearest"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    AREA = "area"


class Colour(StrEnum):
    """What an encoded image is decoded to."""

    GRAY = "gray"
    RGB = "rgb"

    @property
    def channels(self) -> int:
        """The number of channels, 1 or 3."""
        return 1 if self is Colour.GRAY else 3


class Layout(StrEnum):
    """Where a tensor has its channels: last (as TFLite likes it) or before height and width."""

    NHWC = "NHWC"
    NCHW = "NCHW"


class ScoresAre(StrEnum):
    """What the output named by `outputs.scores` holds."""

    PROBABILITIES = "probabilities"
    LOGITS = "logits"


@dataclass(frozen=True, slots=True)
class Task:
    """What the model answers. `labels` is None when the manifest leaves them to the flatbuffer's metadata."""

    kind: TaskKind
    labels: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Canonical:
    """One tensor that callers send, and that travels up the tiers. `shape` is that of one row.

    `encoded` inputs are JPEG or PNG files, one BYTES element a row, of at most `max_pixels` pixels each.
    """

    name: str
    datatype: Datatype
    shape: tuple[int, ...] = ()
    encoded: bool = False
    max_pixels: int = DEFAULT_MAX_PIXELS


@dataclass(frozen=True, slots=True)
class Resize:
    """The size in pixels that an image is resampled to, and how."""

    height: int
    width: int
    interpolation: Interpolation


@dataclass(frozen=True, slots=True)
class InputRecipe:
    """How one input tensor of the version is made of a canonical one: decode, resize, (x·scale - mean)/std, layout.

    `scale`, `mean` and `std` are None when the manifest says nothing of them. Quantisation is the flatbuffer's own.
    """

    tensor: str
    source: str
    resize: Resize | None = None
    colour: Colour | None = None
    scale: float | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    layout: Layout = Layout.NHWC


@dataclass(frozen=True, slots=True)
class Outputs:
    """Which output tensor holds what. Those that do not belong to the task are None."""

    scores: str | None = None
    scores_are: ScoresAre = ScoresAre.PROBABILITIES
    embedding: str | None = None
    boxes: str | None = None
    classes: str | None = None
    count: str | None = None
    value: str | None = None

    def named(self) -> dict[str, str]:
        """Gives the manifest's key of each tensor that it names, and the tensor's name."""
        keys = ("scores", "embedding", "boxes", "classes", "count", "value")
        return {key: name for key in keys if (name := getattr(self, key)) is not None}


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """When the version's own answer is good enough: iff its score ≥ `threshold`."""

    score: ScoreKind
    threshold: float
    temperature: float = 1.0
    box_threshold: float = 0.5


@dataclass(frozen=True, slots=True)
class Manifest:
    """A whole manifest. `model` is the same on every tier, `version` names this artifact of it."""

    model: str
    version: str
    description: str
    task: Task
    canonical: tuple[Canonical, ...]
    inputs: tuple[InputRecipe, ...]
    outputs: Outputs
    policy: PolicySpec

    def policy_document(self, digest: str) -> PolicyDocument:
        """Gives the manifest's policy as that of the version called `digest`."""
        spec, agreement = self.policy, Agreement(AGREEMENT_OF[self.task.kind])
        return PolicyDocument(digest, spec.score, spec.threshold, spec.temperature, spec.box_threshold, agreement)

    def canonical_named(self, name: str) -> Canonical:
        """Gives one canonical tensor by its name; raises KeyError when there is none."""
        for canonical in self.canonical:
            if canonical.name == name:
                return canonical
        raise KeyError(name)
