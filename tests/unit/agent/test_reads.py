"""What agents tell each other that they read."""

from hypothesis import given
from hypothesis import strategies as st

from upriver_agent.reads import FUSED, MAX_TERMS, ZSTD, digests, join_reads, parse_reads

DIGESTS = [f"sha256:{number:064x}" for number in range(100)]
terms = st.frozensets(st.sampled_from([ZSTD, FUSED, *DIGESTS]), max_size=MAX_TERMS)


@given(terms)
def test_what_is_told_is_what_is_read(told: frozenset[str]) -> None:
    assert parse_reads(join_reads(told)) == told
    assert digests(told) == told - {ZSTD, FUSED}


@given(st.none() | st.booleans() | st.integers() | st.floats() | st.text())
def test_whatever_is_told_gives_some_terms_or_none(told: object) -> None:
    assert len(parse_reads(told)) <= MAX_TERMS


def test_too_many_versions_leave_the_rest_readable() -> None:
    read = parse_reads(join_reads({ZSTD, FUSED, *DIGESTS}))
    assert len(read) == MAX_TERMS
    assert {ZSTD, FUSED} <= read
    assert parse_reads("zstd," * 10_000) == frozenset()
