"""Real processes: what a device has learnt and holds out becomes a certified head of its region that answers there."""

import json
import time
from functools import partial
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

from tests.agent_process import until
from tests.control_plane_process import control_plane, following
from tests.fleet_faults import roll_out
from tests.versions import LABELS, make_version
from upriver.head_statistics import nothing, write_statistics
from upriver.listing import digest as digest_of
from upriver.policies import read_policy, write_policy
from upriver_agent.auditing.case import Case, Parts, Verdict
from upriver_agent.journal import Journal
from upriver_agent.learning import holdout
from upriver_agent.lessons.book import BookOptions, LessonBook
from upriver_agent.lessons.lesson import Lesson
from upriver_agent.lessons.table import FILE
from upriver_agent.teaching import SCHEMA
from upriver_agent.versions import Version, open_version
from upriver_control.cli.regions import app
from upriver_control.spans.store import SpanStore, open_spans

WIDTH = 4
TIERS = ("device", "cloud")
MEANS = np.array([[6.0, 0, 0, 0], [0, 6.0, 0, 0], [0, 0, 6.0, 0]])
"""Of the embeddings of class-0 and class-1, which the version knows, and of class-7, which it has to ask for."""
CLASSES = (LABELS[0], LABELS[1], LABELS[7])


def seen(number: int) -> tuple[np.ndarray, str]:
    chance = np.random.default_rng(number)
    at = number % 3
    return (MEANS[at] + chance.normal(size=WIDTH) * 0.5).astype(np.float32), CLASSES[at]


def version_with_prior(folder: Path) -> Version:
    made = make_version(folder, "v1", 0.9)
    prior = nothing(WIDTH, LABELS)
    for number in range(300):
        embedding, label = seen(number)
        if label != CLASSES[2]:
            prior.add(embedding, np.eye(len(LABELS))[LABELS.index(label)])
    np.savez(made / "prior.npz", **write_statistics(prior))
    return open_version(made, folder / "opened")


def lesson(number: int, version: Version) -> Lesson:
    embedding, label = seen(number)
    return Lesson(
        question=f"q{number}", row=0, model="pattern", version_digest=version.digest,
        embedding=embedding.astype(np.float16), student_label=LABELS[0], student_confidence=0.3, known=0.0, label=label,
        probabilities={label: 0.9}, teacher="cloud", teacher_tier="cloud", policy="", teacher_confidence=0.9,
        trace_id=f"{number + 1:032x}", span_id=f"{number + 1:016x}", at=time.time(), draw=0.5,
        content=number.to_bytes(16), source="",
    )  # fmt: skip


def held(number: int, version: Version, policy: str) -> Verdict:
    embedding, label = seen(number)
    case = Case(
        question=f"h{number}", row=0, model="pattern", asked=time.time(), version_digest=version.digest,
        policy_digest=policy, rules_digest=policy, agreement="top_label", settings={}, parts=Parts(), confidence=0.5,
        features={}, passes=label != CLASSES[2], answered_here=label != CLASSES[2], brought=True, draw=0.1, rate=1.0,
    )  # fmt: skip
    return Verdict(case, False, LABELS[0], label, "cloud-1", digest_of(b"the pair on top"), embedding)


def prefill(state_dir: Path, version: Version, top: str) -> None:
    state_dir.mkdir()
    journal = Journal(state_dir / FILE, SCHEMA, durable=True)
    journal.start()
    book = LessonBook(journal, BookOptions(1 << 26, 1e6, 1, 0.4))
    book.offer([lesson(number, version) for number in range(2, 300, 3)])
    policy = digest_of(write_policy(version.manifest.policy_document(version.digest)).encode())
    verdicts = [held(number, version, policy) for number in range(1000, 1400)]
    journal.write(partial(holdout.add, verdicts=verdicts, top_version=top)).result()
    journal.close()


def test_a_region_gets_a_certified_head_of_what_its_devices_had_to_ask(tmp_path) -> None:
    version, above = version_with_prior(tmp_path), make_version(tmp_path, "v2", 0.0)
    top = open_version(above, tmp_path / "opened").digest
    prefill(tmp_path / "dev-1", version, top)
    regions = """[regions]
heads = "roll-out"
max_loss = 0.05
confidence = 0.9
look_s = 0.2
wait_s = 0.0
soak_s = 0.0
"""
    more = "[learning]\npool_s = 0.1\npromote = false\n"
    with control_plane(tmp_path / "control", regions) as plane:
        for one in (version.folder, above):
            plane.upriver("model", "publish", str(one))
        north = partial(following, tmp_path, plane, tiers=TIERS, agent='region = "north"')
        with north("cloud-1", "cloud", more=more), north("dev-1", more=more), plane.stubs() as operator:
            roll_out(operator, "v2", "tier=cloud")
            roll_out(operator, "v1", "tier=device")

            def active() -> str:
                slots = operator.agents()["dev-1"].slots
                return str(slots[0].reported.active.policy_document) if slots else ""

            document = until(active, 60, "the region's head on the device")
            store = SpanStore(open_spans(f"sqlite:///{plane.state}/spans.sqlite"))

            def later() -> set[tuple[str, str]]:
                """What came of the newest question that taught it."""
                return {(span.name, span.agent) for span in store.later((299 + 1).to_bytes(16))}

            assert until(later, 60, "what came of a question") == {("upriver.promote", "dev-1")}
            store.database.close()
            access = ["--control-plane", plane.address, "--token-file", str(plane.state / "operator-token")]
            shown = [CliRunner().invoke(app, ["show", "north", *access, *form]).output for form in ((), ("--json",))]
    assert "passed" in shown[0]
    told = json.loads(shown[1])
    policy = read_policy(document)
    assert policy.certificate is not None
    assert (policy.certificate.epsilon, policy.certificate.top, policy.certificate.questions) == (0.05, top, 400)
    (region,), (head,) = told["regions"], told["heads"]
    assert (region["agents"], round(region["lessons"]), region["head_digest"]) == (1, 100, policy.head)
    assert (head["state"], head["scope"], head["attempt"], len(head["rollouts"])) == ("passed", "region", 1, 1)
    assert head["coverage"] > 0.95
    assert head["gained"] >= 120
