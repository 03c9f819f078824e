"""A control plane whose span store can't be used starts and serves; spans are asked for again, and then are there."""

import grpc
import pytest

from bench.many_spans import Mesh, export, question
from tests.control_plane_process import control_plane
from tests.otlp_bytes import exporting
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
        (state / "spans.sqlite").unlink()  # by whoever looks after it
        assert send(raw) == b""
        database = open_spans(f"sqlite:///{state}/spans.sqlite")
        assert len(SpanStore(database).trace(MESH.trace(0))) == 3
        database.close()
