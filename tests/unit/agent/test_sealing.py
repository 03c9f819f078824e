"""Inputs sealed on the disk: only the key opens them, and a key that is lost takes nothing else with it."""

import sys

import pytest

from upriver.errors import ConfigError, DiskTrouble, RuntimeMissing
from upriver_agent.config import load_config
from upriver_agent.sealing import Seal, key_problem, open_input


@pytest.fixture
def seal(tmp_path):
    path = tmp_path / "key"
    path.write_bytes(bytes(range(32)))
    return Seal(path)


def test_what_is_sealed_opens_again_and_does_not_show(seal):
    sealed = seal.seal(b"pixels of a face", "q-1.0")
    assert b"pixels" not in sealed
    assert seal.seal(b"pixels of a face", "q-1.0") != sealed
    assert open_input(sealed, seal.name, "q-1.0", seal) == b"pixels of a face"
    assert open_input(b"plain", "", "q-1.0", None) == b"plain"


def test_what_was_changed_or_put_in_anothers_place_does_not_open(seal):
    sealed = seal.seal(b"pixels", "q-1.0")
    for data, of in ((sealed, "q-2.0"), (sealed[:-1] + b"\0", "q-1.0"), (b"", "q-1.0"), (sealed[:12], "q-1.0")):
        with pytest.raises(DiskTrouble, match=of):
            seal.open(data, of)


def test_another_key_is_told_by_name_and_so_is_none(seal, tmp_path):
    sealed = seal.seal(b"pixels", "q-1.0")
    (tmp_path / "other").write_text("ab" * 32 + "\n")
    other = Seal(tmp_path / "other")
    with pytest.raises(DiskTrouble, match=f"{seal.name}.*{other.name}"):
        open_input(sealed, seal.name, "q-1.0", other)
    with pytest.raises(DiskTrouble, match=r"learning\.encrypt_key_file"):
        open_input(sealed, seal.name, "q-1.0", None)


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33, b"zz" * 32])
def test_a_file_that_holds_no_key_is_refused_with_what_is_expected(tmp_path, content):
    path = tmp_path / "key"
    path.write_bytes(content)
    assert "32 bytes" in key_problem(path)
    with pytest.raises(DiskTrouble, match="64 hexadecimal digits"):
        Seal(path)


def test_a_file_that_is_not_there_is_told(tmp_path):
    assert "can't be read" in key_problem(tmp_path / "nothing")


def test_without_the_package_that_seals_a_key_is_refused_with_the_extra_that_brings_it(tmp_path, monkeypatch):
    path = tmp_path / "key"
    path.write_bytes(bytes(32))
    (tmp_path / "agent.toml").write_text(
        f'[agent]\ntier = "device"\n[learning]\nkeep_inputs = true\nencrypt_key_file = "{path}"\n'
    )
    assert load_config(tmp_path / "agent.toml", {}).learning.encrypt_key_file == path
    for name in [name for name in sys.modules if name.partition(".")[0] == "cryptography"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "cryptography", None)
    with pytest.raises(RuntimeMissing, match=r"upriver\[fleet\]"):
        Seal(path)
    with pytest.raises(ConfigError, match=r"learning\.encrypt_key_file.*upriver\[fleet\]"):
        load_config(tmp_path / "agent.toml", {})
