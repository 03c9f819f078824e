"""Metrics of real agents, as Prometheus' own tools read them, and their logs' levels set by command."""

import json
import re
from pathlib import Path

import grpc
import httpx
import pytest

from tests.agent_process import running, until, write_config
from tests.asking import ask
from tests.control_plane_process import control_plane
from tests.otlp_receiver import receiving
from tests.prometheus_process import ROOT, prometheus, promtool, query
from tests.versions import make_version
from upriver.cli.root import run
from upriver.log_levels import SERVICE
from upriver.services import Stub
from upriver.v1 import log_pb2 as pb
from upriver.v1 import question_pb2

LADDER = ["device", "cloud"]
ABSENT = {
    *(f"upriver_monitor_{name}" for name in ("log_e", "audits", "disagreements", "alarm")),
    *("upriver_lessons", "upriver_tickets", "upriver_lessons_counted", "upriver_head_trials"),
    *("upriver_promotions_total", "upriver_control_agents", "upriver_control_rollout_state"),
    *("upriver_control_forward_lag_spans", "upriver_control_forward_lost_spans"),
}
NEVER, ALWAYS = 2.0, 0.0
MEASURED = """
[cascade]
trust = "network"
[serving]
admin = true
[metrics]
listen = "127.0.0.1:0"
[telemetry]
otlp_endpoint = "http://{address}"
"""


def address_of(log: Path) -> str:
    found: list[str] = []

    def told() -> bool:
        found[:] = re.findall(r"metrics are at (\S+)", log.read_text())
        return bool(found)

    until(told, what="the metrics' address in the log")
    return found[0]


def metrics_of(log: Path, accept: str = "text/plain") -> str:
    return httpx.get(address_of(log), headers={"Accept": accept}, timeout=20, trust_env=False).text


def value(text: str, series: str) -> float:
    found = re.search(rf"^{re.escape(series)} (\S+)", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


@pytest.fixture(scope="module")
def control(tmp_path_factory):
    with control_plane(tmp_path_factory.mktemp("control"), '[metrics]\nlisten = "127.0.0.1:0"') as plane:
        yield plane


@pytest.fixture(scope="module")
def agents(tmp_path_factory, control):
    folder = tmp_path_factory.mktemp("metrics")
    measured = MEASURED.format(address=control.address)
    above = write_config(folder, "cloud-1", "cloud", LADDER, [make_version(folder, "cloud", ALWAYS)], measured)
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("OTEL_EXPORTER_OTLP_HEADERS", f"authorization=Bearer%20{control.token}")
        with running(above, "cloud-1", "cloud") as cloud:
            models = [make_version(folder, "device", NEVER)]
            below = write_config(folder, "device-1", "device", LADDER, models, measured, [cloud])
            with running(below, "device-1", "device") as device:
                yield folder, device, cloud


def test_questions_are_counted_by_what_became_of_them_and_promtool_finds_no_fault(agents) -> None:
    folder, device, _ = agents
    for _ in range(3):
        ask(device)
    text = metrics_of(folder / "device-1.log")
    ours = [line for line in text.splitlines() if line.startswith("upriver_questions_total")]
    assert sum(float(line.rpartition(" ")[2]) for line in ours if 'outcome="above"' in line) == 3, ours
    assert value(text, 'upriver_questions_total{model="pattern",outcome="local",reason="confident"}') == 0
    assert value(text, 'upriver_stage_seconds_count{model="pattern",stage="escalate"}') == 3
    assert value(text, 'upriver_upstream_breaker_state{upstream="cloud-1",state="closed"}') == 1
    assert value(text, 'upriver_escalation_bytes_total{upstream="cloud-1"}') > 0
    assert value(text, 'upriver_journal_pending_writes{journal="tickets"}') == 0
    assert value(text, 'upriver_waiting_requests{model="pattern"}') == 0
    above = metrics_of(folder / "cloud-1.log")
    assert value(above, 'upriver_questions_total{model="pattern",outcome="local",reason="confident"}') == 3
    assert value(above, 'upriver_confidence_ratio_count{model="pattern"}') == 3
    for one in (text, above):
        checked = promtool("check", "metrics", text=one)
        assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_openmetrics_ends_as_it_must(agents) -> None:
    assert metrics_of(agents[0] / "cloud-1.log", "application/openmetrics-text").endswith("# EOF\n")


def test_the_rules_are_right() -> None:
    rules = ROOT / "deploy/prometheus"
    for arguments in (("check", "rules", "upriver.rules.yml"), ("test", "rules", "upriver.rules.test.yml")):
        checked = promtool(*arguments[:2], rules / arguments[2])
        assert checked.returncode == 0, checked.stdout + checked.stderr
    checked = promtool("check", "config", rules / "prometheus.example.yml")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_level_of_a_module_is_set_by_command(agents, capsys) -> None:
    _, _, cloud = agents
    assert run(["agents", "log-level", cloud.address, "upriver_agent.app=debug", "--for", "5m", "--json"]) == 0
    levels = {one["module"]: one for one in json.loads(capsys.readouterr().out)}
    assert levels["upriver_agent.app"]["level"] == "debug"
    assert "until" in levels["upriver_agent.app"]
    assert levels[""] == {"module": "", "level": "info"}
    assert run(["agents", "log-level", cloud.address, "no.such=debug"]) == 1
    assert "logs nothing here" in capsys.readouterr().err


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """An agent that nobody administers, and who gets its metrics by OTLP."""
    folder = tmp_path_factory.mktemp("plain")
    with receiving() as receiver:
        sent = f'[telemetry]\nmetrics = "otlp"\notlp_endpoint = "{receiver.endpoint}"\n'
        with running(write_config(folder, "plain", "cloud", LADDER, [], sent), "plain", "cloud") as agent:
            yield agent, receiver.metrics


def test_an_agent_that_is_not_administered_refuses(plain, capsys) -> None:
    assert run(["agents", "log-level", plain[0].address]) == 1
    assert "serving.admin" in capsys.readouterr().err


def test_an_agent_sends_its_metrics_by_itself_where_that_is_wanted(plain) -> None:
    agent, metrics = plain
    until(lambda: metrics.requests, what="metrics at the receiver")
    (resource,) = metrics.requests[0].resource_metrics
    told = {one.key: one.value.string_value for one in resource.resource.attributes}
    assert (told["service.name"], told["service.instance.id"]) == ("upriver-agent", "plain")
    families = {metric.name: metric for metric in resource.scope_metrics[0].metrics}
    assert families["upriver_inflight_limit"].gauge.data_points[0].as_int > 0
    assert {"upriver_build_info", "process_cpu_seconds", "upriver_upstream_calls"} <= families.keys()
    before = len(metrics.requests)
    agent.process.terminate()
    assert agent.process.wait(60) == 0
    assert len(metrics.requests) > before, "once more at the end"


def exemplars_of(client, series):
    """Traces that Prometheus keeps as exemplars of a series."""
    asked = {"query": series, "start": "0", "end": "99999999999"}
    found = client.get("/query_exemplars", params=asked).json()
    assert found["status"] == "success", found
    return {one["labels"]["trace_id"] for series in found["data"] for one in series["exemplars"]}


def test_prometheus_scrapes_all_and_knows_every_expression_of_the_dashboards(agents, control, tmp_path) -> None:
    folder, device, _ = agents
    logs = [folder / "device-1.log", folder / "cloud-1.log", control.log]
    targets = [httpx.URL(address_of(log)).netloc.decode() for log in logs]
    with prometheus(tmp_path, targets) as client:
        until(lambda: len(query(client, "up == 1")) == 3, what="agents and control plane to be scraped")
        trace = ask(device).parameters["upriver.trace_id"].string_param
        until(lambda: query(client, "upriver:local_share:rate5m"), what="the recording rules")
        kept = 'upriver_control_spans_received_total{outcome="kept"} > 0'
        until(lambda: query(client, kept), what="spans at the control plane")
        until(lambda: query(client, 'upriver_spans_sent_total{lane="important"} > 0'), what="spans to be sent")
        # Whoever follows an exemplar finds the question: Prometheus and the span store speak of the same traces.
        series = "upriver_stage_seconds_bucket"
        until(lambda: trace in exemplars_of(client, series), what="the question's trace among the exemplars")
        with grpc.insecure_channel(control.address) as channel:
            token = (("authorization", f"Bearer {control.token}"),)
            stub = Stub(channel, question_pb2.DESCRIPTOR.services_by_name["QuestionService"])

            def found():
                try:
                    return stub.GetTrace(question_pb2.GetTraceRequest(trace=trace), timeout=20, metadata=token)
                except grpc.RpcError as error:
                    if error.code() is not grpc.StatusCode.NOT_FOUND:  # its spans are still on their way
                        raise
                    return None

            assert until(found, what="the trace at the control plane").question.trace == trace
        known = set(client.get("/label/__name__/values").json()["data"])
        for board in sorted((ROOT / "deploy/grafana").glob("*.json")):
            for panel in json.loads(board.read_text())["panels"]:
                for target in panel["targets"]:
                    expression = target["expr"].replace("$instance", ".*")
                    query(client, expression)
                    named = set(re.findall(r"upriver[a-z0-9_:]+|process_[a-z_]+", expression))
                    # Nobody audits, learns, forwards, rolls out or joins here, so these have no series.
                    assert named - known <= ABSENT, f"{board.name}: {panel['title']}"


def test_the_control_plane_gives_metrics_and_its_log_is_the_operators(control) -> None:
    text = metrics_of(control.log)
    assert value(text, "upriver_control_out_of_sync_agents") == 0
    assert value(text, "upriver_control_stored_spans_bytes") > 0
    assert value(text, "process_resident_memory_bytes") > 0
    checked = promtool("check", "metrics", text=text)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")
    with grpc.insecure_channel(control.address) as channel:
        stub = Stub(channel, SERVICE)
        with pytest.raises(grpc.RpcError, match="operator's token"):
            stub.GetLogLevels(pb.GetLogLevelsRequest(), timeout=20)
        token = (("authorization", f"Bearer {control.token}"),)
        request = pb.SetLogLevelsRequest(levels=[pb.LogLevel(module="upriver_control.app", level="debug")])
        levels = stub.SetLogLevels(request, timeout=20, metadata=token).levels
        assert [(one.module, one.level) for one in levels] == [("", "info"), ("upriver_control.app", "debug")]
