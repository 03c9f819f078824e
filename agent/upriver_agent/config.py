"""The agent's configuration: a TOML file with environment overrides, parsed once into frozen dataclasses.

Every setting has an override UPRIVER_<SECTION>_<KEY>, for example UPRIVER_AGENT_TIER or
UPRIVER_DISCOVERY_CONSUL_ADDRESS; lists are separated by commas there. The configuration is checked as a whole and
all its problems are told at once. docs/examples has one annotated file per tier.
"""

import re
import socket
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from upriver.errors import ConfigError
from upriver_agent import document as doc
from upriver_agent.contradictions import contradictions, missing_files
from upriver_agent.resilience.settings import PRESET, with_preset
from upriver_agent.sections import AgentConfig, AgentSection, ControlPlaneSection

PREFIX = "UPRIVER"


def load_config(path: Path | None, environ: Mapping[str, str]) -> AgentConfig:
    """Reads the file (none: defaults), applies the overrides in `environ` and checks that the files it names exist.

    Raises ConfigError with every problem.
    """
    document: dict[str, Any] = {}
    problems = doc.Problems()
    if path is not None:
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ConfigError(f"configuration {path}", [f"{path}: cannot be read as TOML: {error}"]) from error
    base = path.parent.absolute() if path is not None else Path.cwd()
    host = re.sub(r"[^A-Za-z0-9-]", "-", socket.gethostname().split(".")[0]).strip("-")
    config = _parse(document, environ, base, host or "agent", problems)
    for key, problem in missing_files(config):
        if key not in problems.bad:
            problems.add(key, problem)
    return _finished(config, problems, f"configuration {path}" if path else "configuration")


def parse_config(document: dict[str, Any], environ: Mapping[str, str], base: Path, host: str = "host") -> AgentConfig:
    """Makes a configuration of a parsed document and overrides, touching no file.

    Relative paths start from `base`; `host` is the machine's name, for the default id. Raises ConfigError with every
    problem.
    """
    problems = doc.Problems()
    return _finished(_parse(document, environ, base, host, problems), problems, "configuration")


def _finished(config: AgentConfig, problems: doc.Problems, what: str) -> AgentConfig:
    if problems.texts:
        raise ConfigError(what, problems.texts)
    return config


def _parse(
    document: Mapping[str, Any], environ: Mapping[str, str], base: Path, host: str, problems: doc.Problems
) -> AgentConfig:
    overrides = doc.find_overrides(AgentConfig, PREFIX, environ, problems)
    config = doc.read(AgentConfig, _with_preset(document, overrides), overrides, base, problems)
    config = replace(
        config,
        agent=_with_defaults(config.agent, environ, base, host),
        control_plane=_joined(config.control_plane, base, problems),
    )
    bad = frozenset(problems.bad)
    for keys, problem in contradictions(config):
        if bad.isdisjoint(keys):
            problems.add(keys[0], problem)
    return config


def _with_preset(document: Mapping[str, Any], overrides: Mapping[str, tuple[str, str]]) -> dict[str, Any]:
    """The document with what its preset says in [resilience], below what the document says there itself."""
    cascade = document.get("cascade", {})
    named = cascade.get("preset", PRESET) if isinstance(cascade, Mapping) else PRESET
    _, named = overrides.get("cascade.preset", ("", named))
    return {**document, "resilience": with_preset(named, document.get("resilience", {}))}


def _with_defaults(agent: AgentSection, environ: Mapping[str, str], base: Path, host: str) -> AgentSection:
    name = agent.id or f"{host[:30]}-{agent.tier}"
    state = agent.state_dir
    if state == Path():
        home = environ.get("XDG_STATE_HOME") or (f"{environ['HOME']}/.local/state" if environ.get("HOME") else "state")
        state = base / home / "upriver" / name
    return replace(agent, id=name, tiers=agent.tiers or (agent.tier,), state_dir=state)


def _joined(section: ControlPlaneSection, base: Path, problems: doc.Problems) -> ControlPlaneSection:
    """Takes the join text apart."""
    if not section.join or "control_plane.join" in problems.bad:
        return section
    rest = section.join.removeprefix("upriver://")
    where, _, root = rest.partition("?root=")
    token, _, addresses = where.rpartition("@")
    try:
        found = doc.texts(doc.address(1)).read(addresses.split(","), base)
    except ValueError:
        problems.add("control_plane.join", f"control_plane.join: {addresses!r}: expected host:port[,host:port]")
        return section
    return replace(
        section,
        addresses=section.addresses or found,
        root=section.root or root,
        token=section.token or token,
    )
