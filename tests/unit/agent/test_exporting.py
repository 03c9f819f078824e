"""Where spans go, by the configuration and OpenTelemetry's own variables."""

from pathlib import Path

from upriver.channels import TlsFiles
from upriver_agent.exporting import export_options
from upriver_agent.sections import AgentConfig, AgentSection, ControlPlaneSection, TelemetrySection

ALONE = AgentConfig(agent=AgentSection(id="device-1"))
JOIN = "t"
NOTHING: dict[str, str] = {}


def joined(telemetry: TelemetrySection) -> AgentConfig:
    above = ControlPlaneSection(addresses=("a:8480", "b:8480"), token=JOIN, ca=Path("ca.pem"))
    return AgentConfig(agent=AgentSection(id="device-1"), control_plane=above, telemetry=telemetry)


def test_an_agent_on_its_own_exports_nothing_unless_it_is_told_where() -> None:
    assert export_options(ALONE, NOTHING) is None


def test_an_agent_that_has_a_control_plane_sends_its_spans_there_with_its_token() -> None:
    options = export_options(joined(TelemetrySection(spool_mib=3)), NOTHING)
    assert options is not None
    assert options.addresses == ("a:8480", "b:8480")
    assert options.metadata == (("authorization", f"Bearer {JOIN}"),)
    assert options.channel.tls == TlsFiles(ca=Path("ca.pem"))
    assert options.spool_bytes == 3 << 20
    assert not options.asked


def test_off_is_off() -> None:
    assert export_options(joined(TelemetrySection(export="off", otlp_endpoint="http://c:4317")), NOTHING) is None


def test_an_endpoint_that_is_named_gets_them_and_the_join_token_stays_here() -> None:
    options = export_options(joined(TelemetrySection(otlp_endpoint="http://c:4317/")), NOTHING)
    assert options is not None
    assert (options.addresses, options.metadata, options.channel.tls) == (("c:4317",), (), None)
    assert options.asked


def test_headers_and_the_authority_come_from_the_usual_variables() -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_HEADERS": "X-Tenant=home,authorization=Basic%20abc",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": "/etc/collector.pem",
    }
    config = AgentConfig(agent=AgentSection(id="a"), telemetry=TelemetrySection(otlp_endpoint="https://c:4317"))
    options = export_options(config, environ)
    assert options is not None
    assert options.metadata == (("x-tenant", "home"), ("authorization", "Basic abc"))
    assert options.channel.tls == TlsFiles(ca=Path("/etc/collector.pem"))


def test_spans_and_metrics_have_each_their_own_headers_and_authority() -> None:
    environ = {"OTEL_EXPORTER_OTLP_HEADERS": "x-tenant=both", "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "x-tenant=traces"}
    environ["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE"] = "/etc/traces.pem"
    environ["OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE"] = "/etc/metrics.pem"
    config = AgentConfig(agent=AgentSection(id="a"), telemetry=TelemetrySection(otlp_endpoint="https://c:4317"))
    traces, metrics = export_options(config, environ), export_options(config, environ, "METRICS")
    assert traces is not None
    assert metrics is not None
    assert (traces.metadata, metrics.metadata) == ((("x-tenant", "traces"),), (("x-tenant", "both"),))
    assert traces.channel.tls == TlsFiles(ca=Path("/etc/traces.pem"))
    assert metrics.channel.tls == TlsFiles(ca=Path("/etc/metrics.pem"))
    environ["OTEL_EXPORTER_OTLP_METRICS_HEADERS"] = "x-tenant=metrics"
    metrics = export_options(config, environ, "METRICS")
    assert metrics is not None
    assert metrics.metadata == (("x-tenant", "metrics"),)
