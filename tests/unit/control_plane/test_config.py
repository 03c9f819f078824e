"""The control plane's configuration."""

import re
import tomllib
from pathlib import Path

import pytest

from upriver.errors import ConfigError
from upriver_control.config import ControlPlaneConfig, load_config
from upriver_control.tokens import read_token


def test_everything_has_a_default_below_one_folder(tmp_path: Path) -> None:
    config = load_config(None, {"UPRIVER_CONTROL_STATE_FOLDER": str(tmp_path)})
    assert config.server.listen == "127.0.0.1:8480"
    assert config.database_url == f"sqlite:///{tmp_path}/control.db"
    assert config.spans_url == f"sqlite:///{tmp_path}/spans.sqlite"
    assert config.artifacts_url == f"{tmp_path}/artifacts"
    assert config.keys_folder == tmp_path / "keys"
    assert config.access.required


def test_the_annotated_example_is_a_configuration_and_shows_every_setting() -> None:
    text = (Path(__file__).resolve().parents[3] / "docs/examples/control.toml").read_text()
    assert ControlPlaneConfig.model_validate(tomllib.loads(text)).server.advertise == "control.example:8480"
    optional = re.sub(r"^# ([a-z_]+ = )", r"\1", text, flags=re.MULTILINE)
    shown = {section: set(table) for section, table in tomllib.loads(optional).items()}
    known = {name: set(field.annotation.model_fields) for name, field in ControlPlaneConfig.model_fields.items()}
    assert shown == known


def test_an_address_that_nobody_can_call_needs_another_to_be_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"advertise is empty while listen = '0\.0\.0\.0:8480'"):
        load_config(None, {"UPRIVER_CONTROL_SERVER_LISTEN": "0.0.0.0:8480"})


def test_paths_start_from_the_files_folder(tmp_path: Path) -> None:
    file = tmp_path / "control.toml"
    file.write_text('[state]\nfolder = "state"\ndatabase = "postgresql://u@h/d"\n')
    config = load_config(file, {"UPRIVER_CONTROL_SERVER_MAX_AGENTS": "7"})
    assert config.state.folder == tmp_path / "state"
    assert config.database_url == "postgresql+psycopg://u@h/d"
    assert config.server.max_agents == 7


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    file = tmp_path / "control.toml"
    file.write_text(
        '[server]\nlisten = "nowhere"\nport = 1\n[trust]\nroots = 1\nthreshold = 2\n[state]\ndatabase = "x"\n'
    )
    with pytest.raises(ConfigError) as told:
        load_config(file, {"UPRIVER_CONTROL_SERVER_NOTHING": "1"})
    text = str(told.value)
    for word in ("server.listen = 'nowhere'", "server.port", "threshold 2", "state.database = 'x'", "SERVER_NOTHING"):
        assert word in text


def test_how_agents_are_called_is_checked(tmp_path: Path) -> None:
    networks = {"UPRIVER_CONTROL_CALLING_NETWORKS": "10.0.0.0/8, fd00::/8"}
    assert load_config(None, networks).calling.networks == ("10.0.0.0/8", "fd00::/8")
    with pytest.raises(ConfigError, match=r"10\.0\.0\.1/8 has host bits set"):
        load_config(None, {"UPRIVER_CONTROL_CALLING_NETWORKS": "10.0.0.1/8"})
    file = tmp_path / "control.toml"
    file.write_text('[calling]\ncertificate = "calling.crt"\n')
    with pytest.raises(ConfigError, match="go together"):
        load_config(file, {})
    file.write_text('[calling]\nca = "missing.crt"\n')
    with pytest.raises(ConfigError, match=r"calling\.ca = .*missing\.crt.*can read"):
        load_config(file, {})


def test_a_file_that_is_no_toml_is_named(tmp_path: Path) -> None:
    (tmp_path / "control.toml").write_text("][")
    with pytest.raises(ConfigError, match=r"control\.toml"):
        load_config(tmp_path / "control.toml", {})


def test_a_token_is_made_once_and_kept_privately(tmp_path: Path) -> None:
    path = tmp_path / "deep/operator.token"
    token = read_token(path, "access.operator_token_file")
    assert len(token) >= 32
    assert read_token(path, "access.operator_token_file") == token
    assert oct(path.stat().st_mode & 0o777) == "0o600"
    path.write_text("two words\n")
    with pytest.raises(ConfigError, match="operator_token_file"):
        read_token(path, "access.operator_token_file")
