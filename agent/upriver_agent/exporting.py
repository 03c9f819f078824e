"""Where an agent's spans go, by its configuration: what it names, or else its control plane."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal

from opentelemetry.util.re import parse_env_headers

from upriver.channels import ChannelOptions, TlsFiles
from upriver_agent.otlp import ExportOptions, SpanExport
from upriver_agent.relay import above
from upriver_agent.sections import AgentConfig
from upriver_agent.telemetry import Telemetry


def span_export(
    config: AgentConfig, telemetry: Telemetry, environ: Mapping[str, str], loaded: Callable[[], object]
) -> SpanExport | None:
    """The export, not yet started; None where spans go nowhere. `environ` has OpenTelemetry's own variables.

    `loaded` is called once what it takes is imported.
    """
    options = export_options(config, environ)
    return None if options is None else SpanExport(options, telemetry, loaded)


def export_options(
    config: AgentConfig, environ: Mapping[str, str], signal: Literal["TRACES", "METRICS"] = "TRACES"
) -> ExportOptions | None:
    """Where spans, or metrics, go and how they get there; None for nowhere."""
    section, link = config.telemetry, above(config)
    named = section.otlp_endpoint
    if section.export == "off" or not (named or link.addresses):
        return None
    if named:
        channel, metadata = _collector(named, environ, signal)
        addresses: Sequence[str] = (named.partition("://")[2].rstrip("/"),)
    else:
        channel, addresses = link.channel, link.addresses
        metadata = (("authorization", f"Bearer {link.token}"),) if link.token else ()
    return ExportOptions(
        named or f"the control plane at {', '.join(addresses)}",
        addresses,
        config.agent.id,
        section.queue_spans,
        config.agent.state_dir,
        section.spool_mib << 20,
        channel,
        metadata,
        asked=bool(named),
    )


def _collector(
    endpoint: str, environ: Mapping[str, str], signal: str
) -> tuple[ChannelOptions, tuple[tuple[str, str], ...]]:
    """How a collector is called: with the headers and the authority that OpenTelemetry's own variables name."""
    headers, ca = (
        environ.get(f"OTEL_EXPORTER_OTLP_{signal}_{name}") or environ.get(f"OTEL_EXPORTER_OTLP_{name}", "")
        for name in ("HEADERS", "CERTIFICATE")
    )
    tls = TlsFiles(ca=Path(ca) if ca else None) if endpoint.startswith("https://") else None
    return ChannelOptions(tls=tls), tuple(parse_env_headers(headers, liberal=True).items())
