"""The metadata that TFLite's tools put into a model: normalisation of inputs, labels of outputs, the oldest runtime.

It is a flatbuffer inside the model's own, with label files in a zip archive behind the model. Field numbers are those
of the public `metadata_schema.fbs`.
"""

import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from upriver.errors import ModelInvalid
from upriver_agent.versions.flatbuffer import Cursor, root

MAX_LABEL_FILE_BYTES: Final = 16 << 20
MAX_CHANNELS: Final = 1 << 20
_AXIS_LABELS, _VALUE_LABELS = 2, 3
_NORMALIZATION: Final = 1


@dataclass(frozen=True, slots=True)
class Normalisation:
    """(x - mean)/std as the metadata gives it for one input, on raw 0 to 255 values; one number or one a channel."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Metadata:
    """What was found, by the position of the input or output."""

    min_runtime: str
    normalisation: Mapping[int, Normalisation] = field(default_factory=dict)
    labels: Mapping[int, tuple[str, ...]] = field(default_factory=dict)


def read_metadata(model: Cursor, content: bytes) -> Metadata:
    """Reads a model's metadata; raises ModelInvalid when it is broken or names a label file that can't be read."""
    buffers = model.tables(4)
    found: dict[str, memoryview] = {}
    for entry in model.tables(6):
        index = entry.scalar(1, "uint32")
        if index >= len(buffers):
            raise ModelInvalid(f"broken flatbuffer: metadata refers to buffer {index} of {len(buffers)}")
        found[entry.text(0)] = buffers[index].octets(0)
    runtime = bytes(found.get("min_runtime_version", b"")[:64]).split(b"\0")[0].decode("ascii", "replace")
    block = found.get("TFLITE_METADATA")
    graphs = root(block, b"M001").tables(3) if block else []
    if not graphs:
        return Metadata(runtime)
    normalisation = {at: _normalisation(tensor) for at, tensor in enumerate(graphs[0].tables(2))}
    files = {at: _label_file(tensor) for at, tensor in enumerate(graphs[0].tables(3))}
    return Metadata(
        runtime,
        {at: units for at, units in normalisation.items() if units is not None},
        {at: _read_labels(content, name) for at, name in files.items() if name is not None},
    )


def _normalisation(tensor: Cursor) -> Normalisation | None:
    for unit in tensor.tables(4):
        options = unit.table(1) if unit.scalar(0, "uint8") == _NORMALIZATION else None
        if options is None:
            continue
        mean, std = (options.numbers(slot, "<f4", MAX_CHANNELS) for slot in (0, 1))
        if mean is not None and std is not None and mean.size and std.size:
            return Normalisation(tuple(map(float, mean.tolist())), tuple(map(float, std.tolist())))
    return None


def _label_file(tensor: Cursor) -> str | None:
    for file in tensor.tables(6):
        if file.scalar(2, "int8") in (_AXIS_LABELS, _VALUE_LABELS):
            return file.text(0)
    return None


def _read_labels(content: bytes, name: str) -> tuple[str, ...]:
    """Reads one label file, a label a line, from the zip archive that is appended to a model with metadata."""
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            info = archive.getinfo(name)
            if info.file_size > MAX_LABEL_FILE_BYTES:
                raise ModelInvalid(f"label file {name!r}: {info.file_size} bytes; at most {MAX_LABEL_FILE_BYTES}")
            with archive.open(info) as file:
                raw = file.read(MAX_LABEL_FILE_BYTES + 1)
    except (zipfile.BadZipFile, KeyError, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        raise ModelInvalid(f"the metadata names the label file {name!r}, which can't be read: {error}") from error
    if len(raw) > MAX_LABEL_FILE_BYTES:
        raise ModelInvalid(f"label file {name!r}: more than {MAX_LABEL_FILE_BYTES} bytes")
    try:
        return tuple(raw.decode("utf-8").splitlines())
    except UnicodeDecodeError as error:
        raise ModelInvalid(f"label file {name!r}: not UTF-8: {error}") from error
