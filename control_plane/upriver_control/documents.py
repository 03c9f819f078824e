"""Frozen dataclasses as JSON documents and back, for what is kept in the database. Pure.

Fields at their defaults are left out, and fields that a document has and the class has not are passed over: processes
of two versions can work on one database while they are being replaced.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
Reader = Callable[[Any], Any]
_PLAIN = frozenset({str, int, float, bool, NoneType})


def to_document(value: Any) -> Any:
    """A value of dataclasses, tuples, mappings, enums and plain values as what `json.dumps` takes."""
    if type(value) in _PLAIN:
        return value
    if is_dataclass(value) and not isinstance(value, type):
        found = ((name, getattr(value, name), default) for name, default in _defaults(type(value)))
        return {name: to_document(one) for name, one, default in found if one != default}
    if isinstance(value, tuple):
        return [to_document(one) for one in value]
    if isinstance(value, Mapping):
        return {str(key): to_document(one) for key, one in value.items()}
    return value.value if isinstance(value, StrEnum) else value


def from_document(kind: type[T], document: Mapping[str, Any]) -> T:
    """A dataclass from its document; raises TypeError, ValueError or KeyError for another kind of document."""
    wanted: Any = kind
    readers = _readers(wanted)
    return kind(**{name: readers[name](value) for name, value in document.items() if name in readers})


@lru_cache(maxsize=64)
def _defaults(kind: type[Any]) -> tuple[tuple[str, Any], ...]:
    known = []
    for one in fields(kind):
        default = one.default if one.default_factory is MISSING else one.default_factory()
        known.append((one.name, default))
    return tuple(known)


@lru_cache(maxsize=64)
def _readers(kind: type[Any]) -> Mapping[str, Reader]:
    return {name: _reader(hint) for name, hint in get_type_hints(kind).items()}


def _reader(hint: Any) -> Reader:
    origin, inner = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        (kind,) = (one for one in inner if one is not NoneType)
        read = _reader(kind)
        return lambda value: None if value is None else read(value)
    if origin is tuple:
        read = _reader(inner[0])
        return lambda value: tuple(read(one) for one in value)
    if origin is not None and issubclass(origin, Mapping):
        key, read = inner[0], _reader(inner[1])
        return lambda value: {key(name): read(one) for name, one in value.items()}
    if is_dataclass(hint) and isinstance(hint, type):
        kind = hint
        return lambda value: from_document(kind, value)
    convert: Reader = hint
    return convert
