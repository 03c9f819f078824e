"""What is kept of models and versions, as plain values. Times are Unix times in seconds."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from upriver.errors import InvalidInput

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_ALIAS: Final = re.compile(r"[a-z0-9-]{1,32}")


@dataclass(frozen=True, slots=True)
class VersionFile:
    """One file of a version: its blob, and the blob of its chunk list (empty for a file of one chunk)."""

    name: str
    digest: str
    size_bytes: int
    chunks: str = ""


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a version comes from; `parent` is `models/{model}/versions/{version}` or empty."""

    parent: str = ""
    training_data: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    conversion: str = ""


@dataclass(frozen=True, slots=True)
class Requirements:
    """What a device needs to run a version."""

    memory_bytes: int
    min_runtime: str
    operators: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Validation:
    """What was found when the version was tried; `policy_document` is the manifest's policy."""

    runtime: str
    invoke_ms: float
    golden_rows: int
    task: str
    policy_document: str


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version to be kept: all but what the store gives it."""

    model: str
    version: str
    digest: str
    files: tuple[VersionFile, ...]
    lineage: Lineage
    requirements: Requirements
    validation: Validation

    @property
    def name(self) -> str:
        """Its resource name."""
        return version_name(self.model, self.version)

    def blobs(self) -> tuple[str, ...]:
        """The digests of all blobs that it is made of, its listing's first."""
        lists = (file.chunks for file in self.files if file.chunks)
        return tuple(dict.fromkeys((self.digest, *(file.digest for file in self.files), *lists)))


@dataclass(frozen=True, slots=True)
class StoredVersion(NewVersion):
    """A version as it is kept; `number` grows with each one."""

    number: int
    created: float
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model as it is kept. `aliases` gives version ids."""

    id: str
    description: str
    created: float
    aliases: Mapping[str, str] = field(default_factory=dict)


def model_name(model: str) -> str:
    """A model's resource name."""
    return f"models/{model}"


def version_name(model: str, version: str) -> str:
    """A version's resource name."""
    return f"models/{model}/versions/{version}"


def read_model_name(name: str) -> str:
    """The model's id in `models/{model}`; raises InvalidInput."""
    collection, _, model = name.partition("/")
    if collection != "models":
        raise InvalidInput(f"{name!r} is no model's name; expected models/{{model}}")
    return check_id(model, "model")


def read_version_name(name: str) -> tuple[str, str]:
    """The ids in `models/{model}/versions/{version}`, where the version may be `@alias`; raises InvalidInput."""
    parts = name.split("/")
    if len(parts) != 4 or parts[0] != "models" or parts[2] != "versions":
        raise InvalidInput(f"{name!r} is no version's name; expected models/{{model}}/versions/{{version}}")
    model, version = check_id(parts[1], "model"), parts[3]
    if version.startswith("@"):
        check_alias(version[1:])
    else:
        check_id(version, "version")
    return model, version


def check_id(text: str, what: str) -> str:
    """Gives the id of a model or version back; raises InvalidInput unless it is one."""
    if _ID.fullmatch(text) is None:
        raise InvalidInput(
            f"{what} id {text[:80]!r}: expected letters, digits, '.', '_' and '-', a letter or digit first, at most 63"
        )
    return text


def check_alias(text: str) -> str:
    """Gives an alias back; raises InvalidInput unless it is one."""
    if _ALIAS.fullmatch(text) is None:
        raise InvalidInput(f"alias {text[:80]!r}: expected lower-case letters, digits and '-', at most 32")
    return text
