"""`upriver trace`, `why` and `top` against a server with canned answers."""

import json
import os
import sys
import threading

import pytest
from typer.testing import CliRunner

from tests.canned_answers import TRACE, WHY, CannedMesh, CannedQuestions, a_mesh, a_question, canned
from tests.terminals import terminal
from upriver.errors import ConfigError, UpriverError
from upriver.v1 import question_pb2 as pb
from upriver_control.cli import top, trace, why

OTHER = "ffffcd47e10fa759e1059be4b05c73ed"


@pytest.fixture
def server():
    come = [
        pb.WatchQuestionsResponse(questions=[a_question(OTHER), a_question()]),
        pb.WatchQuestionsResponse(skipped=3),
    ]
    questions = CannedQuestions(come)
    with canned(questions, CannedMesh([a_mesh(), a_mesh(), a_mesh(rate=3.0)])) as address:
        yield address, questions


def run(app, server, *arguments):
    done = CliRunner().invoke(app, [app.info.name, *arguments, "--control-plane", server[0]])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def test_a_question_is_shown_with_why_and_its_tree(server):
    shown = run(trace.app, server, "last").stdout
    assert shown.splitlines()[0].startswith(TRACE)
    assert WHY in shown
    assert "└─ asks cloud-1" in shown
    assert "its ticket was answered at device-1, by person" in shown
    assert "cloud-1's clock is 2.3 s ahead" in shown
    assert "missing: the far edge's" in shown


def test_for_programs_times_are_milliseconds_and_moments_rfc_3339(server):
    told = json.loads(run(trace.app, server, TRACE, "--json").stdout)
    assert told["question"]["latency_ms"] == 12.4
    assert told["question"]["time"] == "2027-01-15T08:00:00.250Z"
    assert told["question"]["flags"] == ["escalated", "unresolved"]
    assert told["hops"][0]["score"] == 0.41
    assert told["hops"][0]["tries"][0]["outcome"] == "failed"
    assert told["later"][0]["attributes"] == {"upriver.answered_by": "person"}
    assert told["clocks"][0]["offset_ms"] == 2300


def test_questions_are_followed_oldest_first_and_those_left_out_are_counted(server):
    done = run(trace.app, server, "--follow", "--flag", "escalated", "--agent", "device-1")
    assert [line.split()[1] for line in done.stdout.splitlines()] == [TRACE, OTHER]
    assert done.stderr == "3 more came and are not shown\n"
    (asked,) = server[1].asked
    assert (asked.filter.agent, list(asked.filter.flags)) == ("device-1", [pb.QUESTION_FLAG_ESCALATED])
    lines = run(trace.app, server, "--follow", "--json").stdout.splitlines()
    assert [json.loads(line)["trace"] for line in lines] == [TRACE, OTHER]


def test_with_last_the_tree_of_each_is_drawn(server):
    server[1].coming = [pb.WatchQuestionsResponse(questions=[a_question()])]
    assert "└─ asks cloud-1" in run(trace.app, server, "last", "--follow").stdout


def test_with_last_and_filters_it_is_the_newest_of_those_that_is_shown(server):
    server[1].coming = [pb.WatchQuestionsResponse(questions=[a_question()])]
    told = json.loads(run(trace.app, server, "last", "--model", "digits", "--flag", "degraded", "--json").stdout)
    assert told["question"]["trace"] == TRACE
    (asked,) = server[1].asked
    assert (asked.filter.model, list(asked.filter.flags)) == ("digits", [pb.QUESTION_FLAG_DEGRADED])
    assert asked.page_size == 1
    server[1].coming = []
    with pytest.raises(UpriverError, match="no question is kept"):
        run(trace.app, server, "last", "--tier", "cloud")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "expected a trace's or question's id"),
        ([TRACE, "--model", "digits"], "expected with `last` or --follow"),
        ([TRACE, "--follow"], "expected --follow alone"),
        (["--follow", "--flag", "odd"], "expected one of escalated, degraded"),
    ],
)
def test_what_is_wrong_is_said_with_what_is_expected(server, arguments, told):
    with pytest.raises(ConfigError, match=told):
        run(trace.app, server, *arguments)


def test_a_question_that_is_not_here_is_said_so(server):
    with pytest.raises(UpriverError, match="no span of 1234"):
        run(why.app, server, "1234")


def test_why_is_one_paragraph(server):
    assert run(why.app, server, "last").stdout == f"{WHY}\n"
    told = json.loads(run(why.app, server, "last", "--json").stdout)
    assert told == {"trace": TRACE, "question": "q-1", "why": WHY, "missing": ["the far edge's spans"]}


def test_in_a_pipe_top_prints_a_line_for_each_change(server):
    lines = run(top.app, server).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["device-1", "cloud-1", "device-1"]
    looks = [json.loads(line) for line in run(top.app, server, "--json").stdout.splitlines()]
    assert [len(look["agents"]) for look in looks] == [2, 2, 2]
    assert looks[0]["edges"][0]["escalations"] == 24
    assert len(run(top.app, server, "--once", "--json").stdout.splitlines()) == 1


def test_on_a_terminal_q_ends_top():
    mesh = CannedMesh([])
    mesh.watch_mesh = until_cancelled
    with canned(CannedQuestions(), mesh) as address:
        program = f"from upriver_control.cli.top import app; app(['top', '--control-plane', '{address}'])"
        with terminal([sys.executable, "-c", program], dict(os.environ)) as shown:
            shown.read("q quits")
            assert "device-1" in shown.text
            shown.press("q")
            assert shown.process.wait(60) == 0


def until_cancelled(_, context):
    ended = threading.Event()
    context.add_callback(ended.set)
    yield a_mesh()
    ended.wait(120)
