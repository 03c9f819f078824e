from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver.errors import ConfigError
from upriver_agent.config import load_config, parse_config
from upriver_agent.document import as_document, override_keys
from upriver_agent.sections import AgentConfig

BASE = Path("/etc/upriver")
MINIMAL: dict[str, Any] = {"agent": {"tier": "device"}}
VARIABLES = override_keys(AgentConfig, "UPRIVER")

junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def problems_of(document: dict[str, Any], environ: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        parse_config(document, environ or {}, BASE)
    return caught.value.problems


def test_a_tier_is_all_that_must_be_given() -> None:
    config = parse_config(MINIMAL, {"HOME": "/home/ada"}, BASE, host="pi")
    assert config.agent.id == "pi-device"
    assert config.agent.tiers == ("device",)
    assert config.agent.state_dir == Path("/home/ada/.local/state/upriver/pi-device")
    assert config.cascade.trust == "authenticated"
    assert config.discovery.kind == "static"
    assert config.models == ()


def test_relative_paths_start_from_the_folder_of_the_file() -> None:
    config = parse_config({**MINIMAL, "models": [{"path": "models/a"}, {"path": "/srv/b"}]}, {}, BASE)
    assert [entry.path for entry in config.models] == [BASE / "models/a", Path("/srv/b")]


def test_the_environment_overrides_the_document() -> None:
    environ = {
        "UPRIVER_AGENT_TIER": "cloud",
        "UPRIVER_AGENT_TIERS": "device, cloud",
        "UPRIVER_SERVING_MAX_INFLIGHT": "7",
        "UPRIVER_SERVING_ADMIN": "true",
        "UPRIVER_SERVING_DRAIN_S": "2.5",
        "UPRIVER_DISCOVERY_CONSUL_ADDRESS": "https://consul:8501",
        "UPRIVER_TLS_CERTIFICATE": "tls.pem",
        "UPRIVER_TLS_KEY": "/run/key.pem",
    }
    config = parse_config(MINIMAL, environ, BASE)
    assert (config.agent.tier, config.agent.tiers) == ("cloud", ("device", "cloud"))
    assert (config.serving.max_inflight, config.serving.admin, config.serving.drain_s) == (7, True, 2.5)
    assert config.discovery.consul.address == "https://consul:8501"
    assert (config.tls.certificate, config.tls.key) == (BASE / "tls.pem", Path("/run/key.pem"))


def test_all_problems_are_told_at_once_with_key_value_and_what_is_allowed() -> None:
    problems = problems_of(
        {
            "agent": {"teir": "device", "tier": "roof", "tiers": ["device", "cloud"], "listen": "nowhere"},
            "serving": {"threads": 0, "admin": "yes"},
            "tls": {"key": "key.pem", "client_ca": "ca.pem"},
            "discovery": {"static": [{"id": "up", "address": "up:8470", "tier": "moon"}]},
            "modles": [],
        },
        {"UPRIVER_CASCADE_MAX_HOPS": "many"},
    )
    assert set(problems) == {
        "modles: unknown key; did you mean models?",
        "agent.teir: unknown key; did you mean tier?",
        "agent.tier = 'roof': expected one of agent.tiers: device, cloud",
        "agent.listen = 'nowhere': expected host:port or [IPv6]:port with a port from 0 to 65535",
        "serving.threads = 0: expected a whole number from 1 to 256",
        "serving.admin = 'yes': expected true or false",
        "UPRIVER_CASCADE_MAX_HOPS = 'many': expected a whole number from 0 to 64",
        "tls.key is set without tls.certificate: give both or neither",
        "tls.client_ca is set without tls.certificate: clients can only be asked for a certificate over TLS",
        "discovery.static[0].tier = 'moon': expected one of agent.tiers: device, cloud",
    }


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({}, "agent.tier: missing; expected a tier's name"),
        ({"agent": 3}, "agent = 3: expected a table"),
        ({"agent": {"tier": "device", "id": "person"}}, "agent.id = 'person': expected letters"),
        ({**MINIMAL, "models": {"path": "a"}}, "expected an array of tables: [[models]]"),
        ({**MINIMAL, "models": [{}]}, "models[0].path: missing; expected a path"),
        ({**MINIMAL, "models": [{"path": "a"}, {"path": "./a"}]}, "/etc/upriver/a is listed more than once"),
        (
            {"agent": {"tier": "a", "tiers": ["a", "a"]}},
            "agent.tiers = ['a', 'a']: expected a list without repetitions",
        ),
        ({**MINIMAL, "tls": {"certificate": "c"}}, "tls.certificate is set without tls.key"),
        ({**MINIMAL, "tls": {"upstream_key": "c"}}, "tls.upstream_key is set without tls.upstream_certificate"),
        ({**MINIMAL, "cascade": {"trust": "all"}}, "cascade.trust = 'all': expected one of: authenticated, network"),
        ({**MINIMAL, "telemetry": {"sample_rate": 1.5}}, "telemetry.sample_rate = 1.5: expected a number from 0 to 1"),
        (
            {**MINIMAL, "discovery": {"consul": {"token": "t", "token_file": "f"}}},
            "discovery.consul.token and discovery.consul.token_file are both set: give one",
        ),
        (
            {**MINIMAL, "discovery": {"kind": "consul", "static": [{"id": "a", "address": "a:1", "tier": "device"}]}},
            "discovery.static has 1 entries, which discovery.kind = 'consul' does not read",
        ),
        (
            {"agent": {"tier": "device", "listen": "0.0.0.0:8470"}, "discovery": {"kind": "consul"}},
            "agent.advertise is empty while agent.listen = '0.0.0.0:8470'",
        ),
        (
            {**MINIMAL, "discovery": {"static": [{"id": "a", "address": "a:1", "tier": "device"}] * 2}},
            "discovery.static[1].id = 'a': used by an entry before it",
        ),
        ({**MINIMAL, "learning": {"noise": 8.0}}, "learning.clip_norm is 0 while learning.noise is set"),
    ],
)
def test_what_is_wrong_is_named(document: dict[str, Any], expected: str) -> None:
    (problem,) = problems_of(document)
    assert expected in problem


@pytest.mark.parametrize(
    "variable", ["UPRIVER_AGENT_TEIR", "UPRIVER_DISCOVERY_CONSUL_TOKENS", "UPRIVER_AGNET_TIER", "UPRIVER_MODELS_PATH"]
)
def test_a_variable_that_is_no_setting_is_a_problem(variable: str) -> None:
    (problem,) = problems_of(MINIMAL, {variable: "x"})
    assert problem.startswith(f"{variable}: no setting has this variable")


def test_variables_of_other_programs_are_left_alone() -> None:
    parse_config(MINIMAL, {"UPRIVER_PYTHON": "python3.12", "UPRIVER_REQUIRE_REAL": "1", "PATH": "/bin"}, BASE)


def test_a_token_shows_neither_in_the_configuration_nor_in_a_problem() -> None:
    config = parse_config({**MINIMAL, "discovery": {"consul": {"token": "hush"}}}, {}, BASE)
    assert "hush" not in repr(config)
    assert as_document(config)["discovery"]["consul"]["token"] == "***"  # noqa: S105 - the mask, no password
    (problem,) = problems_of(MINIMAL, {"UPRIVER_DISCOVERY_CONSUL_TOKEN": "hush hush"})
    assert "hush" not in problem


def test_files_that_do_not_exist_are_problems_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text('[agent]\ntier = "device"\n[tls]\ncertificate = "c"\nkey = "k"\n[[models]]\npath = "m"\n')
    with pytest.raises(ConfigError) as caught:
        load_config(file, {})
    assert len(caught.value.problems) == 3
    for name in ("c", "k", "m"):
        (tmp_path / name).touch()
    assert load_config(file, {}).models[0].path == tmp_path / "m"


@pytest.mark.parametrize("content", [b"[agent\n", b"\xff\xfe", None])
def test_a_file_that_is_no_toml_is_one_problem(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "agent.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match="cannot be read as TOML"):
        load_config(file, {})


@given(st.dictionaries(st.sampled_from(["agent", "tls", "discovery", "models", "x"]) | st.text(max_size=5), junk))
def test_junk_is_refused_as_a_configuration_error_and_nothing_else(document: dict[str, Any]) -> None:
    with suppress(ConfigError):
        parse_config(document, {}, BASE)


@given(st.dictionaries(st.sampled_from(sorted(VARIABLES)), st.text(max_size=12), max_size=6))
def test_any_override_is_taken_or_its_variable_is_named(environ: dict[str, str]) -> None:
    told = ""
    try:
        parse_config(MINIMAL, environ, BASE)
    except ConfigError as error:
        told = str(error)
    assert not told or any(variable in told or VARIABLES[variable] in told for variable in environ)


@given(
    st.fixed_dictionaries(
        {
            "agent": st.fixed_dictionaries(
                {
                    "id": st.from_regex(r"[a-z][a-z0-9.-]{0,20}", fullmatch=True),
                    "tier": st.sampled_from(["device", "far-edge"]),
                    "tiers": st.permutations(["device", "far-edge", "cloud"]),
                    "state_dir": st.just("/var/lib/upriver"),
                }
            ),
            "serving": st.fixed_dictionaries(
                {"threads": st.integers(1, 256), "drain_s": st.floats(0, 3600), "admin": st.booleans()}
            ),
            "telemetry": st.fixed_dictionaries({"sample_rate": st.floats(0, 1)}),
        }
    )
)
def test_the_effective_configuration_reads_back_as_itself(document: dict[str, Any]) -> None:
    config = parse_config(document, {}, BASE)
    assert parse_config(as_document(config), {}, BASE) == config
