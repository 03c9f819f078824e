"""What was signed of a version, read from the signed metadata's own document."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from upriver.errors import Untrusted
from upriver.listing import LIMITS, REQUIRED, version_digest
from upriver_agent.installing.fit import Needs
from upriver_agent.installing.mesh_supply import SignedFile, SignedVersion

FORMAT: Final = 1
_HEX = re.compile(r"[0-9a-f]{64}")
_SHOWN = 200


@dataclass(frozen=True, slots=True)
class Target:
    """A signed target: `digest` is `sha256:` and 64 digits of its content, `custom` the signed document beside it."""

    digest: str
    size_bytes: int
    custom: object


def read_version(name: str, digest: str, custom: object) -> SignedVersion:
    """Reads the signed document of version `name`; raises Untrusted when it is not that of the version's digest."""
    try:
        if not isinstance(custom, Mapping):
            raise TypeError("no document")
        if custom["format"] != FORMAT:
            raise ValueError(f"format {custom['format']!r}, expected {FORMAT}")
        files = {str(file): _read_file(str(file), facts) for file, facts in custom["files"].items()}
        requires = custom["requires"]
        needs = Needs(
            size_bytes=sum(file.size_bytes for file in files.values()),
            memory_bytes=int(requires["memory_bytes"]),
            min_runtime=str(requires["min_runtime"]),
            operators=tuple(str(operator) for operator in requires["operators"]),
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        shown = json.dumps(custom, default=str)[:_SHOWN]
        raise Untrusted(
            f"{name}: what was signed of it can't be read ({type(error).__name__}: {error}): {shown}"
        ) from error
    listed = {file: signed.digest.removeprefix("sha256:") for file, signed in files.items()}
    if any(file not in files for file in REQUIRED) or version_digest(listed) != digest:
        raise Untrusted(f"{name}: the files that were signed are not those of {digest}")
    return SignedVersion(files, needs)


def _read_file(name: str, facts: Mapping[str, object]) -> SignedFile:
    digest, size, chunks = facts["sha256"], facts["size"], facts.get("chunks", "")
    if name not in LIMITS or type(size) is not int or not 0 <= size <= LIMITS[name]:
        raise ValueError(f"{name!r} of {size!r} bytes")
    if not isinstance(digest, str) or not _HEX.fullmatch(digest):
        raise ValueError(f"{name!r} with sha256 {digest!r}")
    if not isinstance(chunks, str) or not (chunks == "" or _HEX.fullmatch(chunks)):
        raise ValueError(f"{name!r} with chunks {chunks!r}")
    return SignedFile(f"sha256:{digest}", size, f"sha256:{chunks}" if chunks else "")
