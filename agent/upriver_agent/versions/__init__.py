"""Versions: a model's immutable artifact (`model.tflite` and `manifest.toml`), opened, checked and verified."""

from upriver_agent.versions.manifest import Manifest
from upriver_agent.versions.parsing import parse_manifest
from upriver_agent.versions.store import Version, assemble, open_stored, open_version
from upriver_agent.versions.verify import VerifyReport, verify_version

__all__ = [
    "Manifest",
    "VerifyReport",
    "Version",
    "assemble",
    "open_stored",
    "open_version",
    "parse_manifest",
    "verify_version",
]
