"""Certificates for the tests, made with the `openssl` command: an authority and what it has signed."""

import subprocess
from collections.abc import Iterable
from pathlib import Path

DAYS = "2"


def make_certificates(folder: Path, names: Iterable[str], authority: str = "ca") -> None:
    """Writes <authority>.pem, and <name>.pem with <name>.key for each name, good for 127.0.0.1 and localhost."""
    _openssl(
        folder, "req", "-x509", *_key(authority), "-out", f"{authority}.pem", "-days", DAYS,
        "-subj", f"/CN={authority}",
    )  # fmt: skip
    extensions = folder / f"{authority}.extensions"
    extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n")
    for name in names:
        _openssl(folder, "req", *_key(name), "-out", f"{name}.csr", "-subj", f"/CN={name}")
        _openssl(
            folder, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key",
            "-CAcreateserial", "-out", f"{name}.pem", "-days", DAYS, "-extfile", extensions.name,
        )  # fmt: skip


def _key(name: str) -> tuple[str, ...]:
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", f"{name}.key")


def _openssl(folder: Path, *arguments: str) -> None:
    done = subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise AssertionError(f"openssl {' '.join(arguments)}: {done.stderr}")
