"""Deltas and chunk lists."""

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from upriver.chunks import CHUNK, check_list, chunk_list, is_chunk, list_size
from upriver.delta import apply_delta, make_delta
from upriver.errors import InvalidInput, Untrusted
from upriver.listing import digest

SIZE = 8 << 20
HEAD = 32 << 10


def files(folder: Path) -> tuple[Path, Path, bytes]:
    old = np.random.default_rng(1).bytes(SIZE)
    new = old[:-HEAD] + np.random.default_rng(2).bytes(HEAD)
    (folder / "old").write_bytes(old)
    (folder / "new").write_bytes(new)
    return folder / "old", folder / "new", new


def test_a_changed_head_travels_as_less_than_three_percent(tmp_path: Path) -> None:
    old, new, data = files(tmp_path)
    size = make_delta(old, new, tmp_path / "delta")
    assert size == (tmp_path / "delta").stat().st_size <= 0.03 * SIZE
    apply_delta(old, tmp_path / "delta", tmp_path / "out", SIZE, digest(data))
    assert (tmp_path / "out").read_bytes() == data


@pytest.mark.skipif(shutil.which("zstd") is None, reason="no zstd command line here")
def test_the_zstd_command_line_reads_our_deltas_and_we_read_its(tmp_path: Path) -> None:
    old, new, data = files(tmp_path)
    make_delta(old, new, tmp_path / "delta")
    command = ["zstd", "-q", "-f", f"--patch-from={old}"]
    subprocess.run([*command, "-d", tmp_path / "delta", "-o", tmp_path / "theirs"], check=True, timeout=60)
    assert (tmp_path / "theirs").read_bytes() == data
    subprocess.run([*command, new, "-o", tmp_path / "their.delta"], check=True, timeout=60)
    apply_delta(old, tmp_path / "their.delta", tmp_path / "ours", SIZE, digest(data))


def test_a_delta_that_leads_to_more_than_was_said_is_stopped(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"a base of some bytes")
    (tmp_path / "new").write_bytes(bytes(64 << 20))
    assert make_delta(tmp_path / "old", tmp_path / "new", tmp_path / "delta") < 20_000
    with pytest.raises(Untrusted):
        apply_delta(tmp_path / "old", tmp_path / "delta", tmp_path / "out", CHUNK, digest(b""))
    assert not (tmp_path / "out").exists()


def test_a_delta_on_another_base_a_cut_one_and_a_broken_one_are_refused(tmp_path: Path) -> None:
    old, new, data = files(tmp_path)
    make_delta(old, new, tmp_path / "delta")
    whole = (tmp_path / "delta").read_bytes()
    (tmp_path / "other").write_bytes(np.random.default_rng(3).bytes(SIZE))
    for base, delta in ((tmp_path / "other", whole), (old, whole[:-9]), (old, b"no zstd"), (old, b"")):
        (tmp_path / "delta").write_bytes(delta)
        with pytest.raises(Untrusted):
            apply_delta(base, tmp_path / "delta", tmp_path / "out", SIZE, digest(data))
        assert not (tmp_path / "out").exists()


def test_empty_files_have_no_delta(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"")
    with pytest.raises(InvalidInput, match="expected 8 to"):
        make_delta(tmp_path / "old", tmp_path / "old", tmp_path / "delta")


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=100), st.integers(0, 2 * CHUNK + 5))
def test_a_chunk_list_knows_its_chunks_and_no_others(seed: bytes, size: int) -> None:
    data = (seed + b".") * (size // (len(seed) + 1) + 1)
    data = data[:size]
    sums = chunk_list(io.BytesIO(data))
    assert len(sums) == list_size(size)
    check_list(sums, size)
    for index in range(len(sums) // 32):
        chunk = data[index * CHUNK : (index + 1) * CHUNK]
        assert is_chunk(sums, index, chunk)
        assert not is_chunk(sums, index, chunk + b"x")
    assert not is_chunk(sums, len(sums) // 32, b"")
    with pytest.raises(Untrusted):
        check_list(sums + b"x", size)
