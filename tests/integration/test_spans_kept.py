"""A collector that is gone and comes back gets everything that is important, with the times at which it happened."""

import sqlite3
import time
from contextlib import closing

import numpy as np
import pytest
import tritonclient.grpc as triton

from tests.agent_process import TRUSTING, running, until, write_config
from tests.otlp_receiver import attributes, receiving
from tests.versions import make_version
from upriver_agent.spooling import table
from upriver_agent.spooling.spool import FILE

SPANS_OF_AN_ANSWER = 3
"""Here: upriver.serve, upriver.infer and upriver.decide. A question that fails at once has the first alone."""


def ask(agent, shape=(1, 14, 14, 1)):
    with triton.InferenceServerClient(agent.address) as client:
        image = triton.InferInput("image", list(shape), "FP32")
        image.set_data_from_numpy(np.zeros(shape, np.float32))
        return client.infer("pattern", [image])


def fail(agent):
    with pytest.raises(triton.InferenceServerException):
        ask(agent, (1, 2))


def kept_spans(state_dir):
    """How many wait on an agent's disk."""
    with closing(sqlite3.connect(f"{(state_dir / FILE).as_uri()}?mode=ro", uri=True)) as connection:
        return table.tally(connection)["spans"]


def exporting(agent):
    until(lambda: "spans go to" in agent.log.read_text(), what="the exporter")


def test_what_happened_while_the_collector_was_gone_comes_when_it_is_back_though_the_agent_was_killed(tmp_path):
    with receiving() as receiver:
        endpoint = receiver.endpoint
    version = make_version(tmp_path, "1", 0.0)
    more = f'{TRUSTING}[telemetry]\notlp_endpoint = "{endpoint}"\nsample_rate = 1.0\n'
    config = write_config(tmp_path, "lonely", "device", ["device"], [version], more)
    began = time.time_ns()
    with running(config, "lonely") as agent:
        exporting(agent)
        for _ in range(10):
            ask(agent)
            fail(agent)
        until(lambda: "takes no spans" in agent.log.read_text(), what="the line that tells that the collector is gone")
        until(lambda: kept_spans(tmp_path / "lonely") == 10 * (SPANS_OF_AN_ANSWER + 1), what="all of it on the disk")
        agent.process.kill()
        agent.process.wait(10)
    gone = time.time_ns()
    config.with_suffix(".ready").unlink()
    with running(config, "lonely") as agent, receiving(int(endpoint.rpartition(":")[2])) as receiver:
        until(lambda: len([s for s in receiver.order if s.name == "upriver.serve"]) >= 20, 30, "all that happened")
        serves = [span for span in receiver.order if span.name == "upriver.serve"]
        assert len({span.span_id for span in serves}) == len(serves) == 20, "nothing twice"
        assert all(began < span.start_time_unix_nano <= span.end_time_unix_nano < gone for span in serves)
        assert sum(attributes(span).get("upriver.error.reason") == "INVALID_INPUT" for span in serves) == 10
        assert min(receiver.sent_ns) > gone, "told with the sender's clock as it is when it sends"
        assert agent.terminate() == 0


def test_an_agent_that_has_a_control_plane_sends_it_its_spans_with_the_join_token(tmp_path):
    version = make_version(tmp_path, "1", 0.0)
    with receiving() as receiver:
        address = receiver.endpoint.removeprefix("http://")
        more = f'{TRUSTING}[control_plane]\naddresses = ["{address}"]\nroot = "sha256:{"a" * 64}"\n'
        more += 'token = "join-token"\n'
        config = write_config(tmp_path, "joined", "device", ["device"], [version], more)
        with running(config, "joined") as agent:
            exporting(agent)
            fail(agent)
            until(lambda: receiver.order, what="the span")
        assert receiver.tokens == {"Bearer join-token"}
