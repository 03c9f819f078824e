"""What is wrong with a configuration whose settings are right one by one."""

import os
from collections.abc import Iterator
from pathlib import Path

from upriver_agent.sealing import key_problem
from upriver_agent.sections import AgentConfig, TlsSection

_OWN_LABELS = ("agent", "tier", "region")
_WILDCARDS = ("0.0.0.0", "[::]", "[::0]")  # noqa: S104 - compared with, never bound


def contradictions(config: AgentConfig) -> Iterator[tuple[tuple[str, ...], str]]:
    """Settings that are allowed one by one but not together: (the keys, what is wrong)."""
    yield from _ladder(config)
    yield from _sent_models(config)
    tls, discovery = config.tls, config.discovery
    for one, other in (("certificate", "key"), ("upstream_certificate", "upstream_key")):
        if (getattr(tls, one) is None) != (getattr(tls, other) is None):
            given, lacking = (one, other) if getattr(tls, other) is None else (other, one)
            yield (f"tls.{one}", f"tls.{other}"), f"tls.{given} is set without tls.{lacking}: give both or neither"
    if tls.client_ca is not None and tls.certificate is None:
        yield (
            ("tls.client_ca", "tls.certificate"),
            "tls.client_ca is set without tls.certificate: clients can only be asked for a certificate over TLS",
        )
    if discovery.consul.token and discovery.consul.token_file is not None:
        yield (
            ("discovery.consul.token", "discovery.consul.token_file"),
            "discovery.consul.token and discovery.consul.token_file are both set: give one",
        )
    if discovery.kind != "static" and discovery.static:
        yield (
            ("discovery.static", "discovery.kind"),
            f"discovery.static has {len(discovery.static)} entries, which discovery.kind = {discovery.kind!r} does not "
            "read: remove them or set discovery.kind = 'static'",
        )
    listen_host = config.agent.listen.rpartition(":")[0]
    if discovery.kind != "static" and listen_host in _WILDCARDS and not config.agent.advertise:
        yield (
            ("agent.advertise", "agent.listen", "discovery.kind"),
            f"agent.advertise is empty while agent.listen = {config.agent.listen!r} is no address that others can "
            "call: set agent.advertise to host:port",
        )
    if config.learning.noise and not config.learning.clip_norm:
        yield (
            ("learning.clip_norm", "learning.noise"),
            "learning.clip_norm is 0 while learning.noise is set, which hides no embedding longer than that: set it to "
            "the longest that is to count",
        )
    paths = [entry.path for entry in config.models]
    for path in sorted({path for path in paths if paths.count(path) > 1}):
        yield ("models",), f"models: {path} is listed more than once"


def _sent_models(config: AgentConfig) -> Iterator[tuple[tuple[str, ...], str]]:
    section = config.control_plane
    if section.addresses and not section.root:
        yield (
            ("control_plane.root", "control_plane.addresses", "control_plane.join"),
            "control_plane.root is empty: set it to the fingerprint that the control plane prints at its start: only "
            "models that it signed are run",
        )
    if config.discovery.kind == "control-plane" and not section.addresses:
        yield (
            ("discovery.kind", "control_plane.addresses", "control_plane.join"),
            "discovery.kind = 'control-plane' needs control_plane.join or control_plane.addresses",
        )
    for name in _OWN_LABELS:
        if name in config.agent.labels:
            yield ("agent.labels",), f"agent.labels: {name!r} is told by agent.{name.replace('agent', 'id')} already"


def _ladder(config: AgentConfig) -> Iterator[tuple[tuple[str, ...], str]]:
    tier, tiers = config.agent.tier, config.agent.tiers
    ladder = ", ".join(tiers)
    if tier not in tiers:
        yield ("agent.tier", "agent.tiers"), f"agent.tier = {tier!r}: expected one of agent.tiers: {ladder}"
    static = config.discovery.static
    for index, upstream in enumerate(static):
        key = f"discovery.static[{index}]"
        if upstream.tier not in tiers:
            yield (
                (f"{key}.tier", "agent.tiers", "agent.tier"),
                f"{key}.tier = {upstream.tier!r}: expected one of agent.tiers: {ladder}",
            )
        if upstream.id in {other.id for other in static[:index]}:
            yield (f"{key}.id",), f"{key}.id = {upstream.id!r}: used by an entry before it; ids must differ"


def missing_files(config: AgentConfig) -> Iterator[tuple[str, str]]:
    """Files that are named and not there or not readable: (the key, what is wrong)."""
    named = {f"tls.{name}": path for name, path in _tls_files(config.tls).items()}
    named["discovery.consul.token_file"] = config.discovery.consul.token_file
    named["control_plane.ca"] = config.control_plane.ca
    for key, path in named.items():
        if path is not None and not (path.is_file() and os.access(path, os.R_OK)):
            yield key, f"{key} = {str(path)!r}: expected a file that this user can read"
    sealing = config.learning.encrypt_key_file
    if sealing is not None and (problem := key_problem(sealing)):
        yield "learning.encrypt_key_file", f"learning.encrypt_key_file = {str(sealing)!r}: {problem}"
    for index, entry in enumerate(config.models):
        if not entry.path.exists():
            yield f"models[{index}].path", f"models[{index}].path = {str(entry.path)!r}: no such folder or archive"


def _tls_files(tls: TlsSection) -> dict[str, Path | None]:
    return {
        "certificate": tls.certificate,
        "key": tls.key,
        "client_ca": tls.client_ca,
        "upstream_ca": tls.upstream_ca,
        "upstream_certificate": tls.upstream_certificate,
        "upstream_key": tls.upstream_key,
    }
