"""What a version consists of, and the digest that names it.

A version is a few files. Its listing has one line for each, `<sha256 in hexadecimal>  <name>`, sorted by name, as
`sha256sum` prints them; the version's digest is the sha256 of that listing. So the listing is itself a blob, named by
the version's digest, that says which blobs the version is made of.
"""

import hashlib
import re
from collections.abc import Mapping
from typing import Final

from upriver.errors import ModelInvalid

MODEL: Final = "model.tflite"
MANIFEST: Final = "manifest.toml"
GOLDEN: Final = "golden.npz"
PRIOR: Final = "prior.npz"
LIMITS: Final[Mapping[str, int]] = {MANIFEST: 1 << 20, MODEL: 1 << 31, GOLDEN: 1 << 26, PRIOR: 1 << 23}
"""Every file that a version may have, and how many bytes each may."""
REQUIRED: Final = (MODEL, MANIFEST)
"""Those that it must have."""
_LINE = re.compile(r"([0-9a-f]{64})  ([a-z.]+)")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


def is_digest(text: str) -> bool:
    """Whether a text is a blob's or version's name: `sha256:` and 64 hexadecimal digits."""
    return _DIGEST.fullmatch(text) is not None


def digest(data: bytes) -> str:
    """The name of some bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def format_listing(files: Mapping[str, str]) -> bytes:
    """The listing of files given as {name: sha256 in hexadecimal}; those that are no file of a version are an error."""
    return "".join(f"{files[name]}  {name}\n" for name in sorted(files)).encode("ascii")


def parse_listing(data: bytes) -> dict[str, str]:
    """Reads a listing into {name: sha256 in hexadecimal}; raises ModelInvalid unless it is written exactly as above."""
    try:
        lines = data.decode("ascii").splitlines()
    except UnicodeDecodeError as error:
        raise ModelInvalid("not the listing of a version: not ASCII") from error
    files: dict[str, str] = {}
    for line in lines:
        match = _LINE.fullmatch(line)
        if match is None or match[2] not in LIMITS:
            raise ModelInvalid(f"not the listing of a version: {line[:80]!r}")
        files[match[2]] = match[1]
    missing = [name for name in REQUIRED if name not in files]
    if missing:
        raise ModelInvalid(f"not the listing of a version: no {' and no '.join(missing)}")
    if format_listing(files) != data:
        raise ModelInvalid("not the listing of a version: not sorted, or repeated")
    return files


def version_digest(files: Mapping[str, str]) -> str:
    """The digest of the version that consists of these files, {name: sha256 in hexadecimal}."""
    return digest(format_listing(files))
