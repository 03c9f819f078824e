"""A signed repository in a folder, and an agent that trusts it, for the tests."""

import shutil
import time
from pathlib import Path
from typing import Final

from upriver.errors import Unreachable
from upriver.listing import format_listing, version_digest
from upriver_agent.trust.source import FolderMetadata
from upriver_agent.trust.trust import Trust
from upriver_control.trust.keys import Keys
from upriver_control.trust.metadata_store import FolderMetadataStore
from upriver_control.trust.repository import Repository, TrustOptions

DAY: Final = 86_400.0
NAME: Final = "models/digits/versions/{}"


class ControlPlane:
    """A repository in a folder, with a clock that the test sets."""

    def __init__(self, folder: Path, options: TrustOptions | None = None) -> None:
        self.folder = folder
        self.now = time.time()
        self.metadata = folder / "metadata"
        self.keys = Keys(folder / "keys")
        self.repository = Repository(
            FolderMetadataStore(self.metadata), self.keys, options or TrustOptions(), lambda: self.now
        )
        self.fingerprint = self.repository.open()

    def publish(self, version: str, content: str = "") -> str:
        """Signs a version made up of its name; gives its digest."""
        listing, custom, digest = made_up(content or version)
        self.repository.publish("digits", version, listing, custom)
        return digest

    def snapshot(self) -> Path:
        """A copy of all metadata as it is now."""
        copy = self.folder / f"copy-{len(list(self.folder.iterdir()))}"
        shutil.copytree(self.metadata, copy)
        return copy


def made_up(content: str) -> tuple[bytes, dict[str, object], str]:
    files = {
        name: content.encode().hex().ljust(64, end)[:64]
        for name, end in (("model.tflite", "0"), ("manifest.toml", "1"))
    }
    custom = {
        "format": 1,
        "files": {name: {"sha256": sha, "size": 10} for name, sha in files.items()},
        "requires": {"memory_bytes": 1000, "min_runtime": "1.14.0", "operators": ["CONV_2D"]},
        "parent": "",
    }
    return format_listing(files), custom, version_digest(files)


class Nobody:
    """A source that is never there."""

    def fetch(self, name: str) -> bytes:
        raise Unreachable("nobody answers")

    def release(self) -> None:
        pass


def agent(control: ControlPlane, folder: Path, metadata: Path | None = None) -> Trust:
    """An agent's view of it, by the control plane's clock."""
    return Trust(folder, FolderMetadata(metadata or control.metadata), control.fingerprint, lambda: control.now)
