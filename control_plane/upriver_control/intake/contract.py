"""What a question must have: a model's canonical inputs, from the manifest of one of its versions."""

import math
import tomllib
from dataclasses import dataclass
from typing import Any

import numpy as np

from upriver.errors import ModelInvalid
from upriver.tensors import DTYPES


@dataclass(frozen=True, slots=True)
class Input:
    """One canonical input: its name, the type of its numbers, one row's shape; encoded is an image file a row."""

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    encoded: bool = False

    @property
    def numbers(self) -> int:
        """How many numbers a row has."""
        return math.prod(self.shape)

    @property
    def is_picture(self) -> bool:
        """Whether a row can be made of an image: it is encoded, or pixels [height, width] with 1 or 3 channels."""
        channels = 1 if len(self.shape) == 2 else self.shape[2] if len(self.shape) == 3 else 0
        return self.encoded or (self.dtype == np.uint8 and channels in (1, 3))

    def __str__(self) -> str:
        return f"{self.name!r}: an encoded image" if self.encoded else f"{self.name!r}: {self.dtype} {list(self.shape)}"


def read_contract(manifest: str) -> tuple[Input, ...]:
    """The canonical inputs in a published version's manifest.toml; raises ModelInvalid when it is none."""
    try:
        tables = tomllib.loads(manifest)["canonical"]
        return tuple(
            Input(
                name=str(table["name"]),
                dtype=np.dtype(object) if table.get("encoding") else DTYPES.get(table["datatype"], np.dtype("<f4")),
                shape=tuple(int(size) for size in table.get("shape", ())),
                encoded=bool(table.get("encoding")),
            )
            for table in tables
        )
    except (tomllib.TOMLDecodeError, KeyError, TypeError, ValueError) as error:
        raise ModelInvalid(f"manifest.toml: has no canonical inputs that could be read: {error}") from error
