"""Reads a document (nested tables, as TOML gives them) and environment overrides into frozen dataclasses.

The dataclasses say what is allowed: each field is made by `setting`, `table` or `tables`. Reading collects every
problem instead of stopping at the first one; a value that is refused is replaced by its default, so that the rest
can still be checked, and its key is remembered as bad. Nothing here knows what the settings mean.
"""

import difflib
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Generic, TypeVar, cast

T = TypeVar("T")

_REQUIRED = object()


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """What a value may be. `read` takes a value and the folder that relative paths start from, and raises ValueError
    for what is not allowed; `from_text` turns an environment variable's text into such a value."""

    allowed: str
    read: Callable[[object, Path], T]
    from_text: Callable[[str], object] = str


@dataclass(slots=True)
class Problems:
    """What is wrong so far, and the keys that it is about."""

    texts: list[str] = field(default_factory=list)
    bad: set[str] = field(default_factory=set)

    def add(self, key: str, text: str) -> None:
        """Notes one problem of one key."""
        self.texts.append(text)
        self.bad.add(key)


def setting(kind: Kind[T], default: T, *, secret: bool = False) -> T:
    """A field with a default. A secret one stays out of `repr` and is masked by `as_document`."""
    made: T = field(default=default, repr=not secret, metadata={"kind": kind, "secret": secret})
    return made


def setting_made(kind: Kind[T], make: Callable[[], T]) -> T:
    """A field whose default is made anew for each document."""
    made: T = field(default_factory=make, metadata={"kind": kind})
    return made


def required(kind: Kind[T], placeholder: T) -> T:
    """A field that the document must give; the placeholder stands in while problems are being collected."""
    made: T = field(default=placeholder, metadata={"kind": kind, "default": _REQUIRED})
    return made


def table(cls: type[T]) -> T:
    """A field that is a table of its own."""
    made: T = field(default_factory=cls, metadata={"table": cls})
    return made


def tables(cls: type[T]) -> tuple[T, ...]:
    """A field that is an array of tables; it has no environment override."""
    made: tuple[T, ...] = field(default=(), metadata={"tables": cls})
    return made


def read(
    cls: type[T],
    document: object,
    overrides: Mapping[str, tuple[str, str]],
    base: Path,
    problems: Problems,
    key: str = "",
) -> T:
    """Reads one table and those inside it.

    `overrides` maps dotted keys to (variable, text); `key` is this table's own dotted key, empty for the document.
    """
    if not isinstance(document, Mapping):
        problems.add(key, f"{key} = {document!r}: expected a table")
        return cls()
    known = {item.name: item.metadata for item in fields(cast(Any, cls))}
    for name in document:
        if name not in known:
            problems.add(_join(key, name), f"{_join(key, name)}: unknown key{_hint(str(name), known)}")
    values: dict[str, object] = {}
    for name, metadata in known.items():
        path = _join(key, name)
        if "table" in metadata:
            values[name] = read(metadata["table"], document.get(name, {}), overrides, base, problems, path)
        elif "tables" in metadata:
            values[name] = _read_tables(metadata["tables"], document.get(name, []), base, problems, path)
        elif path in overrides:
            variable, text = overrides[path]
            _read_value(values, name, path, metadata, text, base, problems, variable)
        elif name in document:
            _read_value(values, name, path, metadata, document[name], base, problems)
        elif metadata.get("default") is _REQUIRED:
            problems.add(path, f"{path}: missing; expected {metadata['kind'].allowed}")
    return cls(**values)


def override_keys(cls: type[object], prefix: str) -> dict[str, str]:
    """The environment variable of each setting: {variable: dotted key}; for example UPRIVER_TLS_KEY: tls.key."""
    return {f"{prefix}_{key.replace('.', '_').upper()}": key for key in _setting_keys(cls, "")}


def find_overrides(
    cls: type[object], prefix: str, environ: Mapping[str, str], problems: Problems
) -> dict[str, tuple[str, str]]:
    """The overrides in an environment: {dotted key: (variable, text)}.

    A variable of a known section (or of what looks like a misspelt one) that is no setting is a problem; variables of
    other sections are left to whoever reads them.
    """
    known = override_keys(cls, prefix)
    sections = {item.name.upper() for item in fields(cast(Any, cls))}
    found: dict[str, tuple[str, str]] = {}
    for variable in sorted(environ):
        parts = variable.split("_")
        if parts[0] != prefix or len(parts) < 3:
            continue
        if variable in known:
            found[known[variable]] = (variable, environ[variable])
        elif parts[1] in sections or difflib.get_close_matches(parts[1], sections, 1, 0.8):
            problems.add(variable, f"{variable}: no setting has this variable{_hint(variable, known)}")
    return found


def as_document(value: object) -> dict[str, Any]:
    """A dataclass made of such fields as plain tables, lists, texts and numbers; secrets that are set show as ***."""
    document: dict[str, Any] = {}
    for item in fields(cast(Any, value)):
        content = getattr(value, item.name)
        if "table" in item.metadata:
            document[item.name] = as_document(content)
        elif "tables" in item.metadata:
            document[item.name] = [as_document(entry) for entry in content]
        elif item.metadata.get("secret") and content:
            document[item.name] = "***"
        elif isinstance(content, tuple):
            document[item.name] = list(content)
        elif isinstance(content, Mapping):
            document[item.name] = dict(content)
        elif isinstance(content, Path) or content is None:
            document[item.name] = str(content or "")
        else:
            document[item.name] = content
    return document


def whole(low: int, high: int) -> Kind[int]:
    """A whole number within bounds."""

    def check(value: object, _: Path) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError
        return value

    return Kind(f"a whole number from {low} to {high}", check, int)


def number(low: float, high: float) -> Kind[float]:
    """A finite number within bounds."""

    def check(value: object, _: Path) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError
        if not math.isfinite(value) or not low <= value <= high:
            raise ValueError
        return float(value)

    return Kind(f"a number from {low:g} to {high:g}", check, float)


def flag() -> Kind[bool]:
    """true or false."""

    def check(value: object, _: Path) -> bool:
        if not isinstance(value, bool):
            raise ValueError
        return value

    return Kind("true or false", check, lambda text: {"true": True, "false": False}[text.lower()])


def choice(*values: T) -> Kind[T]:
    """One of a few values."""

    def check(value: object, _: Path) -> T:
        return values[values.index(cast(T, value))]

    return Kind("one of: " + ", ".join(str(value) for value in values), check)


def text(pattern: str, allowed: str) -> Kind[str]:
    """A text that a regular expression matches as a whole."""
    whole_text = re.compile(pattern)

    def check(value: object, _: Path) -> str:
        if not isinstance(value, str) or not whole_text.fullmatch(value):
            raise ValueError
        return value

    return Kind(allowed, check)


def texts(each: Kind[str]) -> Kind[tuple[str, ...]]:
    """A list of different texts; in the environment separated by commas."""

    def check(value: object, base: Path) -> tuple[str, ...]:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise ValueError
        items = tuple(each.read(item, base) for item in value)
        if len(set(items)) != len(items):
            raise ValueError
        return items

    return Kind(
        f"a list without repetitions, each {each.allowed}",
        check,
        lambda text: [item.strip() for item in text.split(",") if item.strip()],
    )


def pairs(name: Kind[str], content: Kind[str]) -> Kind[Mapping[str, str]]:
    """A table of texts by name; in the environment `name=text,name=text`."""

    def check(value: object, base: Path) -> Mapping[str, str]:
        if not isinstance(value, Mapping):
            raise ValueError
        return {name.read(key, base): content.read(text, base) for key, text in value.items()}

    def split(text: str) -> object:
        return dict(item.strip().split("=", 1) for item in text.split(",") if item.strip())

    return Kind(f"a table of texts by name; names are {name.allowed}, texts {content.allowed}", check, split)


def path(*, allow_empty: bool = False) -> Kind[Path]:
    """A path, relative ones to the folder of the document; where allowed, an empty one is Path()."""

    def check(value: object, base: Path) -> Path:
        if not isinstance(value, str) or "\0" in value or not (value or allow_empty):
            raise ValueError
        return base / value if value else Path()

    return Kind("a path" + ", or empty" * allow_empty, check)


def optional_path() -> Kind[Path | None]:
    """A path as above, or empty for none."""
    some = path()
    return Kind("a path, or empty for none", lambda value, base: None if value == "" else some.read(value, base))


def address(lowest_port: int, *, optional: bool = False) -> Kind[str]:
    """host:port, or [IPv6]:port; no unix sockets."""
    expected = f"host:port or [IPv6]:port with a port from {lowest_port} to 65535" + ", or empty" * optional

    def check(value: object, _: Path) -> str:
        if not isinstance(value, str):
            raise ValueError
        if value == "" and optional:
            return value
        match = re.fullmatch(r"(?:\[[0-9A-Fa-f:.]+(?:%\w+)?\]|[A-Za-z0-9._-]+):([0-9]{1,5})", value)
        if match is None or not lowest_port <= int(match[1]) <= 65535:
            raise ValueError
        return value

    return Kind(expected, check)


def _read_value(
    values: dict[str, object],
    name: str,
    key: str,
    metadata: Mapping[str, Any],
    value: object,
    base: Path,
    problems: Problems,
    variable: str = "",
) -> None:
    kind: Kind[object] = metadata["kind"]
    try:
        plain = kind.from_text(cast(str, value)) if variable else value
        values[name] = kind.read(plain, base)
    except (ValueError, KeyError, OverflowError):
        shown = "***" if metadata.get("secret") else _shown(value)
        problems.add(key, f"{variable or key} = {shown}: expected {kind.allowed}")


def _read_tables(cls: type[object], document: object, base: Path, problems: Problems, key: str) -> tuple[object, ...]:
    if not isinstance(document, Sequence) or isinstance(document, str):
        problems.add(key, f"{key} = {_shown(document)}: expected an array of tables: [[{key}]]")
        return ()
    return tuple(read(cls, entry, {}, base, problems, f"{key}[{index}]") for index, entry in enumerate(document))


def _setting_keys(cls: type[object], key: str) -> Iterator[str]:
    for item in fields(cast(Any, cls)):
        if "table" in item.metadata:
            yield from _setting_keys(item.metadata["table"], _join(key, item.name))
        elif "kind" in item.metadata:
            yield _join(key, item.name)


def _join(key: str, name: object) -> str:
    return f"{key}.{name}" if key else str(name)


def _hint(name: str, known: Mapping[str, object]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {close[0]}?" if close else f"; known: {', '.join(sorted(known))}"


def _shown(value: object) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else shown[:77] + "..."
