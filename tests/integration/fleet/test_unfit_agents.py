"""What a device can't carry is refused before a byte of it is fetched, with what it would need; others get it."""

import json
from dataclasses import replace

import pytest

from tests.agent_process import until
from tests.asking import version_of
from tests.control_plane_process import control_plane, following
from tests.fleet_faults import publish, recorded, shown
from tests.grpc_proxy import FETCH, grpc_proxy
from tests.versions import MIB


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ("[blobs]\ndisk_mib = 2\n", ("its files take 3.0 MiB", "keeps at most 2.0 MiB")),
        ('[serving]\nruntime = "tflite-runtime"\n', ("no runtime is installed", "expected ai-edge-litert or")),
    ],
)
def test_an_unfit_agent_fetches_nothing_says_what_it_would_need_and_holds_nobody_up(tmp_path, settings, told):
    with control_plane(tmp_path / "control") as plane, grpc_proxy(plane.address) as proxy:
        publish(plane, tmp_path, "v1", 3 * MIB)
        watched = replace(plane, join=plane.join.replace(plane.address, proxy.address))
        with following(tmp_path, watched, "small-1", more=settings), following(tmp_path, plane, "dev-1") as other:
            ended = plane.upriver(
                "rollout", "start", "pattern/v1", "--soak", "0s", "--rings", "100%", "--wait", "--json"
            )
            assert json.loads(ended.splitlines()[-1])["state"] == "completed"
            assert version_of(other) == "v1"
            slot = until(lambda: (found := shown(plane, "small-1")) and found["failure"] and found, 10, "its refusal")
            assert slot["failure"] == "unfit"
            assert slot["active"] is None
            for part in told:
                assert part in slot["needs"] + slot["difference"], slot
            assert proxy.calls[FETCH] == 0
            assert not list((tmp_path / "small-1").glob("blobs/*"))
            assert recorded(tmp_path / "small-1") == ""
