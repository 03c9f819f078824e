"""The benchmark of blobs runs: real agents in a small tree get a version whole, and another head of it as a delta."""

import json

from bench import blobs


def test_a_small_tree_gets_a_version_once_from_the_control_plane_and_another_head_as_a_delta(tmp_path, capsys):
    assert blobs.main(["--quick", "--json", str(tmp_path / "blobs.json")]) == 0
    figures = json.loads((tmp_path / "blobs.json").read_text())
    size = figures["size_bytes"]
    assert size == 2_000_000
    for way in ("whole", "head"):
        travel = figures[way]
        assert travel["control_plane_bytes"] == travel["told_from_control_plane"]
        assert travel["fetched_s"] <= travel["seconds"]
    assert figures["whole"]["largest_blob_sent"] == size
    assert figures["whole"]["told_from_agents"] >= 4 * size
    assert figures["head"]["control_plane_bytes"] < 0.03 * size
    assert figures["head"]["told_saved_by_deltas"] > 5 * 0.95 * size
    assert "MISSED" not in capsys.readouterr().out
