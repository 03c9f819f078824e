"""A control plane whose span store can't be used starts and serves; spans are asked for again, and then are there."""

import grpc
import pytest

from bench.many_spans import Mesh, export, question
from tests.control_plane_process import control_plane
from tests.otlp_bytes import exporting
from tests.question_server import Asker
from upriver_control.spans.store import SpanStore, open_spans

MESH = Mesh()


def test_a_store_that_is_damaged_keeps_nothing_else_from_working(tmp_path):
    state = tmp_path / "spans/state"
    state.mkdir(parents=True)
    (state / "spans.sqlite").write_bytes(b"x" * 5000)
    with control_plane(tmp_path / "spans") as plane, grpc.insecure_channel(plane.address) as channel:
        send = exporting(channel, plane.join.removeprefix("upriver://").partition("@")[0])
        raw = export("device-0", [span for _, span in question(MESH, 0)]).SerializeToString()
        with pytest.raises(grpc.RpcError) as told:
            send(raw)
        assert told.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "not a database" in told.value.details()
        with plane.stubs() as operator:
            assert operator.agents() == {}
        looking = Asker(channel, plane.token)
        assert "not a database" in looking.span_store().trouble
        (seen,) = looking.mesh(once=True)
        assert "not a database" in seen.missing[0]
        with pytest.raises(grpc.RpcError) as told:
            looking.list()
        assert told.value.code() is grpc.StatusCode.UNAVAILABLE
        assert "not a database" in told.value.details()
        (state / "spans.sqlite").unlink()  # by whoever looks after it
        assert send(raw) == b""
        found = looking.trace(MESH.trace(0).hex())
        assert len(found.spans) == 3
        assert not found.missing
        database = open_spans(f"sqlite:///{state}/spans.sqlite")
        assert len(SpanStore(database).trace(MESH.trace(0))) == 3
        database.close()
