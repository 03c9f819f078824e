"""Metrics as a scraper reads them: what is written is read back, and what can't be meant is refused."""

import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver.exposition import classic, openmetrics, wants_openmetrics
from upriver.families import Bounded, Buckets, Exemplar, Family, Kind, Sample, summed

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(,|$)')
LABELS = r'\{(?:[^"}]|"(?:[^"\\]|\\.)*")*\}'
NUMBER = r"[+-]?(?:[0-9.]+(?:e[+-]?[0-9]+)?|Inf)|NaN"
LINE = re.compile(
    rf"({NAME})({LABELS})? ({NUMBER})(?: # ({LABELS}) ({NUMBER})(?: ([0-9.]+))?)?", re.DOTALL
)  # fmt: skip
ESCAPES = {"\\\\": "\\", '\\"': '"', "\\n": "\n"}

Series = tuple[str, frozenset[tuple[str, str]]]


def plain(text: str) -> str:
    return re.sub(r"\\.", lambda found: ESCAPES[found[0]], text)


def labels(text: str | None) -> frozenset[tuple[str, str]]:
    found, rest = set(), (text or "{}")[1:-1]
    while rest:
        match = LABEL.match(rest)
        assert match is not None, rest
        found.add((match[1], plain(match[2])))
        rest = rest[match.end() :]
    return frozenset(found)


def read(text: bytes) -> tuple[dict[Series, float], dict[str, str], list[str]]:
    """Series with their numbers, types by family, and lines with exemplars; strict, with the grammar of the format."""
    series: dict[Series, float] = {}
    types: dict[str, str] = {}
    exemplars = []
    assert text.endswith(b"\n")
    for line in text.decode().removesuffix("\n").split("\n"):
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types
            types[name] = kind
        elif not line.startswith("#"):
            match = LINE.fullmatch(line)
            assert match is not None, line
            key = (match[1], labels(match[2]))
            assert key not in series
            series[key] = float(match[3])
            if match[4] is not None:
                exemplars.append(line)
    return series, types, exemplars


names = st.from_regex(r"[a-z][a-z0-9]{0,8}(_[a-z0-9]{1,8}){0,2}", fullmatch=True).map(lambda name: f"{name}_x")
label_names = st.from_regex(r"[a-z][a-z0-9]{0,8}", fullmatch=True).filter(lambda name: name not in {"le", "quantile"})
texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
amounts = st.integers(0, 2**60) | st.floats(0, 1e300)
anything = st.floats() | st.integers(-(2**60), 2**60)


@st.composite
def buckets(draw: st.DrawFn) -> Buckets:
    bounds = draw(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=5, unique=True).map(sorted))
    counts = draw(st.lists(st.integers(0, 1000), min_size=len(bounds) + 1, max_size=len(bounds) + 1))
    exemplar = Exemplar({"trace_id": "4b" * 16}, bounds[0], 12.5)
    return Buckets(tuple(bounds), tuple(counts), draw(st.floats(-1e9, 1e9)), {0: exemplar})


@st.composite
def families(draw: st.DrawFn) -> Family:
    kind = draw(st.sampled_from(Kind))
    wanted = draw(st.lists(label_names, max_size=3, unique=True))
    rows = draw(st.lists(st.tuples(*(texts for _ in wanted)), max_size=3, unique=True))
    values: st.SearchStrategy[float | Buckets] = {
        Kind.COUNTER: amounts,
        Kind.GAUGE: anything,
        Kind.HISTOGRAM: buckets(),
        Kind.INFO: st.just(1),
    }[kind]
    samples = [Sample(dict(zip(wanted, row, strict=True)), draw(values)) for row in rows]
    return Family(draw(names), kind, draw(texts.filter(bool)), "", samples)


def expected(family: Family) -> dict[Series, float]:
    ending = {Kind.COUNTER: "_total", Kind.INFO: "_info"}.get(family.kind, "")
    found: dict[Series, float] = {}
    for sample in family.samples:
        own = frozenset(sample.labels.items())
        if isinstance(sample.value, Buckets):
            below = 0
            for bound, count in zip([*sample.value.bounds, math.inf], sample.value.counts, strict=True):
                below += count
                le = repr(bound) if math.isfinite(bound) else "+Inf"
                found[f"{family.name}_bucket", own | {("le", le)}] = below
            found[f"{family.name}_count", own] = below
            found[f"{family.name}_sum", own] = sample.value.total
        else:
            found[family.name + ending, own] = float(sample.value)
    return found


@given(st.lists(families(), min_size=1, max_size=2, unique_by=lambda family: family.name))
def test_what_is_written_is_read_back_and_both_texts_have_the_same_series(given_families: list[Family]) -> None:
    wanted: dict[Series, float] = {}
    for family in given_families:
        wanted |= expected(family)
    wanted_texts = {key: repr(float(value)) for key, value in wanted.items()}
    for write in (classic, openmetrics):
        series, types, _ = read(write(given_families))
        assert {key: repr(value) for key, value in series.items()} == wanted_texts  # in which NaN is NaN
        assert len(types) == len(given_families)
    assert openmetrics(given_families).endswith(b"# EOF\n")
    assert not read(classic(given_families))[2]


def test_the_classic_text_calls_a_counter_as_its_series_and_knows_no_info() -> None:
    made = [
        Family("upriver_escalation_bytes", Kind.COUNTER, "Sent up.", "bytes", [Sample({"upstream": "far-1"}, 12)]),
        Family("upriver_build", Kind.INFO, "What runs.", "", [Sample({"version": "1"}, 1)]),
    ]
    assert classic(made).decode() == (
        "# HELP upriver_escalation_bytes_total Sent up.\n# TYPE upriver_escalation_bytes_total counter\n"
        'upriver_escalation_bytes_total{upstream="far-1"} 12\n'
        '# HELP upriver_build_info What runs.\n# TYPE upriver_build_info gauge\nupriver_build_info{version="1"} 1\n'
    )
    assert openmetrics(made).decode() == (
        "# TYPE upriver_escalation_bytes counter\n# UNIT upriver_escalation_bytes bytes\n"
        "# HELP upriver_escalation_bytes Sent up.\n"
        'upriver_escalation_bytes_total{upstream="far-1"} 12\n'
        '# TYPE upriver_build info\n# HELP upriver_build What runs.\nupriver_build_info{version="1"} 1\n# EOF\n'
    )


def test_exemplars_are_in_openmetrics_alone() -> None:
    exemplar = Exemplar({"trace_id": "4bf9"}, 0.03, 1_700_000_000.5)
    stages = Buckets((0.01, 0.1), (5, 2, 0), 0.2, {1: exemplar})
    made = [
        Family("upriver_stage_seconds", Kind.HISTOGRAM, "Time.", "seconds", [Sample({"stage": "total"}, stages)]),
        Family("upriver_questions", Kind.COUNTER, "Asked.", "", [Sample({}, 7, exemplar)]),
    ]
    assert [line.split(" ", 1)[1] for line in read(openmetrics(made))[2]] == [
        '7 # {trace_id="4bf9"} 0.03 1700000000.500',
        '7 # {trace_id="4bf9"} 0.03 1700000000.500',
    ]
    assert b" # " not in classic(made)


def test_labels_and_help_are_escaped_so_that_nobody_can_write_a_line_of_his_own() -> None:
    nasty = 'a"} 1\nupriver_fake_total 9 \\'
    text = classic([Family("upriver_x", Kind.GAUGE, nasty, "", [Sample({"model": nasty}, 1)])])
    assert read(text)[0] == {("upriver_x", frozenset({("model", nasty)})): 1.0}
    assert b"\0" not in classic([Family("upriver_x", Kind.GAUGE, "h", "", [Sample({"model": "a\0b"}, 1)])])
    assert classic([Family("upriver_x", Kind.GAUGE, "h", "", [Sample({"model": "\ud800"}, 1)])]).count(b"\n") == 3


def test_numbers_of_numpy_are_numbers() -> None:
    text = classic([Family("upriver_x", Kind.GAUGE, "h", "", [Sample({}, np.float64(0.5))])])
    assert text.endswith(b"upriver_x 0.5\n")


ONE = [Sample({}, 1)]


@pytest.mark.parametrize(
    ("made", "wrong"),
    [
        (lambda: Family("Upriver", Kind.GAUGE, "h", "", ONE), "'Upriver' is no name"),
        (lambda: Family("upriver__x", Kind.GAUGE, "h", "", ONE), "no name"),
        (lambda: Family("upriver_x_total", Kind.COUNTER, "h", "", ONE), "_total"),
        (lambda: Family("upriver_x_count", Kind.GAUGE, "h", "", ONE), "_count"),
        (lambda: Family("upriver_x_ms", Kind.GAUGE, "h", "ms", ONE), "unit 'ms'"),
        (lambda: Family("upriver_x", Kind.GAUGE, "h", "seconds", ONE), "_seconds"),
        (lambda: Family("upriver_x_bytes", Kind.INFO, "h", "bytes", ONE), "no unit"),
        (lambda: Family("upriver_x", Kind.GAUGE, "", "", ONE), "help"),
        (lambda: Family("upriver_x", Kind.GAUGE, "h", "", [Sample({"le": "1"}, 1)]), "'le' is no name of a label"),
        (lambda: Family("upriver_x", Kind.GAUGE, "h", "", [Sample({"Mo-del": "1"}, 1)]), "'Mo-del'"),
        (lambda: Family("upriver_x", Kind.GAUGE, "h", "", [*ONE, Sample({"a": "1"}, 1)]), "the same on all"),
        (lambda: Family("upriver_x", Kind.GAUGE, "h", "", [*ONE, *ONE]), "two samples"),
        (lambda: Family("upriver_x", Kind.COUNTER, "h", "", [Sample({}, -1)]), "from 0 on"),
        (lambda: Family("upriver_x", Kind.COUNTER, "h", "", [Sample({}, math.nan)]), "from 0 on"),
        (lambda: Family("upriver_x", Kind.INFO, "h", "", [Sample({}, 2)]), "expected 1"),
        (lambda: Family("upriver_x", Kind.HISTOGRAM, "h", "", ONE), "histogram"),
        (lambda: Family("upriver_x", Kind.GAUGE, "h", "", [Sample({}, 1, Exemplar({}, 1))]), "exemplar"),
        (lambda: Exemplar({"trace_id": "a" * 200}, 1), "208 characters"),
        (lambda: Buckets((), (1,), 0), "at least one"),
        (lambda: Buckets((2, 1), (1, 1, 1), 0), "rise"),
        (lambda: Buckets((1,), (1,), 0), "expected 2"),
        (lambda: Buckets((1,), (1, -1), 0), "negative"),
        (lambda: Buckets((1,), (1, 1), 0, {1: Exemplar({}, 0.5)}), "not in bucket 1"),
    ],
)
def test_what_can_not_be_meant_is_refused_by_name(made: object, wrong: str) -> None:
    assert callable(made)
    with pytest.raises(ValueError, match=re.escape(wrong)):
        made()


@pytest.mark.parametrize("write", [classic, openmetrics])
def test_two_families_of_one_name_are_refused(write: object) -> None:
    assert callable(write)
    made = [Family("upriver_x", kind, "h", "", ONE) for kind in (Kind.COUNTER, Kind.GAUGE)]
    with pytest.raises(ValueError, match="there is upriver_x already"):
        write(made)


@given(st.lists(texts, max_size=30), st.integers(0, 5))
def test_a_label_has_at_most_so_many_values_and_who_has_a_name_keeps_it(values: list[str], most: int) -> None:
    bounded = Bounded(most)
    told = [bounded.name(value) for value in values]
    assert len(set(told) - {Bounded.OTHER}) <= most
    assert [bounded.name(value) for value in values] == told


def test_what_became_other_is_added_up() -> None:
    bounded = Bounded(1, ["digits"])
    samples = [Sample({"model": bounded.name(model)}, count) for model, count in [("digits", 1), ("a", 2), ("b", 3)]]
    assert summed(samples) == [Sample({"model": "digits"}, 1), Sample({"model": "other"}, 5)]
    one, other = Buckets((1.0,), (1, 2), 3.0), Buckets((1.0,), (10, 20), 30.0)
    assert summed([Sample({}, one), Sample({}, other)]) == [Sample({}, Buckets((1.0,), (11, 22), 33.0))]
    with pytest.raises(ValueError, match="bounds"):
        summed([Sample({}, one), Sample({}, Buckets((2.0,), (1, 2), 3.0))])


PROMETHEUS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)


@pytest.mark.parametrize(
    ("accept", "wants"),
    [
        (PROMETHEUS, True),
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text; q=nonsense", False),
        ("text/plain, application/openmetrics-text;q=0.5", False),
    ],
)
def test_a_scraper_says_which_text_it_wants(accept: str, wants: bool) -> None:
    assert wants_openmetrics(accept) is wants


@given(st.text(max_size=60))
def test_no_accept_header_is_an_error(accept: str) -> None:
    wants_openmetrics(accept)
