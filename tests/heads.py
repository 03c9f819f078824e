"""Heads for the tests, of the versions that tests/versions.py makes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from tests.versions import make_version
from upriver.heads import Head, head_of, write_head
from upriver.listing import digest as digest_of
from upriver.policies import PolicyDocument
from upriver_agent.head import embedding_width
from upriver_agent.serving.loader import Loader, LoaderOptions
from upriver_agent.versions import VerifyReport, Version, open_version

REPORT = VerifyReport("none", 0.0, 0.1, 0.0, 0.0, 0)
"""Of a version that is known to work."""


def version_with_embedding(folder: Path, name: str = "1", threshold: float = 0.0) -> Version:
    """An opened version of the model with an embedding output."""
    return open_version(make_version(folder, name, threshold), folder / "state")


def head_for(version: Version, seed: int, more: Sequence[str] = ()) -> Head:
    """A head of random weights for a version's labels, and more."""
    labels = (*version.labels, *more)
    width = embedding_width(version) or 0
    return head_of(version.digest, labels, np.random.default_rng(seed).normal(size=(width + 1, len(labels))))


def policy_with(version: Version, head: Head, threshold: float = 0.5) -> PolicyDocument:
    """The manifest's policy with a head."""
    plain = version.manifest.policy_document(version.digest)
    return replace(plain, threshold=threshold, head=digest_of(write_head(head)))


class BelievingLoader(Loader):
    """Believes that every version works, instead of having a child process try it."""

    def verify(self, version: Version) -> VerifyReport:
        return REPORT


def loader_in(folder: Path) -> Loader:
    """A loader that keeps what it must in a folder, and tries no version."""
    return BelievingLoader(LoaderOptions("auto", 1, 1, 1000.0, folder / "state"))
