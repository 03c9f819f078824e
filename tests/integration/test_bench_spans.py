"""The benchmark of spans runs: what is sent is taken, found, and told."""

import json

from bench import spans


def test_a_few_spans_are_taken_and_found(tmp_path) -> None:
    told = tmp_path / "spans.json"
    assert spans.main(["--spans", "5000", "--json", str(told)]) == 0
    figures = json.loads(told.read_text())
    assert (figures["spans"], figures["lost"]) == (5000, 0)
    assert figures["spans_s"] > 0
    assert figures["query_p95_ms"] > 0
    assert figures["db_bytes_per_span"] > 100
