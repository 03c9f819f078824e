"""Deltas by what blobs are: heads by their own form, all else by zstd's, and nothing that is broken gets through."""

from pathlib import Path

import numpy as np
import pytest

from upriver import delta, heads
from upriver.errors import Untrusted
from upriver.heads import closest_within, head_of, write_head
from upriver.listing import digest
from upriver.patch import apply_delta, make_delta

VERSION, LABELS = "sha256:" + "5" * 64, tuple("abcdefgh")
OLD = head_of(VERSION, LABELS, np.random.default_rng(1).normal(size=(65, 8)))
NEW = closest_within(OLD, (*LABELS, "new"), np.random.default_rng(2).normal(size=(65, 9)), 600)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "old").write_bytes(write_head(OLD))
    (tmp_path / "new").write_bytes(write_head(NEW))
    return tmp_path


def test_a_delta_between_heads_is_theirs_and_leads_back_to_the_bit(folder: Path) -> None:
    size = make_delta(folder / "old", folder / "new", folder / "delta")
    assert (folder / "delta").read_bytes() == heads.write_delta(OLD, NEW)
    new = write_head(NEW)
    apply_delta(folder / "old", folder / "delta", folder / "made", len(new), digest(new))
    assert (folder / "made").read_bytes() == new
    assert size == (folder / "delta").stat().st_size < 700


def test_heads_that_are_too_different_and_other_blobs_go_by_zstd(folder: Path) -> None:
    other = write_head(head_of("sha256:" + "6" * 64, LABELS, np.ones((65, 8))))
    for name, data in (("other", other), ("almost", heads.MAGIC + b"\nno head"), ("bytes", bytes(range(256)) * 9)):
        (folder / name).write_bytes(data)
        make_delta(folder / "old", folder / name, folder / "delta")
        assert not (folder / "delta").read_bytes().startswith(heads.DELTA_MAGIC)
        apply_delta(folder / "old", folder / "delta", folder / "made", len(data), digest(data))
        assert (folder / "made").read_bytes() == data
    delta.make_delta(folder / "old", folder / "new", folder / "delta")
    apply_delta(folder / "old", folder / "delta", folder / "made", len(write_head(NEW)), digest(write_head(NEW)))


def test_a_heads_delta_that_is_broken_or_of_another_base_is_untrusted(folder: Path) -> None:
    make_delta(folder / "old", folder / "new", folder / "delta")
    new = write_head(NEW)
    whole = (folder / "delta").read_bytes()
    cases = [(whole[:-1], "old", new), (whole, "new", new), (whole, "old", b"another"), (whole + b"!", "old", new)]
    for data, base, wanted in cases:
        (folder / "delta").write_bytes(data)
        with pytest.raises(Untrusted):
            apply_delta(folder / base, folder / "delta", folder / "made", len(wanted), digest(wanted))
        assert not (folder / "made").exists()
