"""`scripts/bench cascade`: what a certified cascade saves against asking the top for everything.

Two meshes of four agents each, all real processes, with hops of 5, 15 and 40 ms: the demo's, which a control plane has
sent versions and the policies that it certified, and one of the same models whose policies send every question up, hop
by hop, as it came (and for comparison, some of them compressed). Both are asked the same 10,000 test digits, in turns,
six at once.

Bytes are as agents count them, envelopes included, on every link between neighbouring tiers: of questions, and for the
cascade also of audits and of what is told of them to the control plane, which stands by the cloud.
"""

import argparse
import json
import re
import tempfile
import threading
import time
import timeit
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench.always_up import AlwaysUp
from bench.targets import tell
from demo.asking import alone, ask_all, make_request
from demo.calibrating import Certified
from demo.control import MODELS, ControlPlane
from demo.digits import Digits, DigitsMissing, load_test, load_unseen
from demo.mesh import TIERS, Mesh, MeshOptions
from demo.processes import DemoFailed
from demo.provisioning import found, provision
from demo.tally import Tally, local_share, loss
from upriver.errors import UpriverError
from upriver.policies import PolicyDocument, read_policy
from upriver.v1 import policy_pb2
from upriver_agent.cascade import decide_alone
from upriver_agent.envelope import DEFAULT_OPTIONS
from upriver_agent.policy import effective_threshold, make_policy
from upriver_agent.predictor import open_predictor
from upriver_agent.serving.scoring import make_scorer
from upriver_agent.versions import open_version

HOPS_MS: Final = (5.0, 15.0, 40.0)
TURNS: Final = 4
WARM: Final = 60
"""Questions that are asked of each mesh before, so that agents have found each other and told what they read."""
PACKED: Final = 1000
TIMED: Final = 200
QUICK: Final = 400
AUDITS_S: Final = 60.0
DELIVERY_S: Final = 5.0
"""Verdicts are gathered for two seconds before they are delivered."""
LOCAL_SHARE, BYTES_UP, LATENCY, DECISION_US = 0.94, 0.1, 0.25, 20.0
_BYTES = re.compile(r"(\w*bytes_up) (\d+)")
_POLICIES = policy_pb2.DESCRIPTOR.services_by_name["PolicyService"]


@dataclass(frozen=True)
class Figures:
    """What is told as JSON. Local is the device and the far edge; ratios are the cascade's by those of asking the top
    for everything."""

    local_share: float
    certified_loss: float
    realised_loss: float
    bytes_up_ratio: float
    latency_ratio: float
    p99_ratio: float
    decision_us: float


@dataclass(frozen=True)
class Measured:
    """What the figures are made of, for people: both meshes, and bytes by what they are for."""

    certified: Certified
    ours: Tally
    baseline: Tally
    audit_bytes: float
    verdict_bytes: float
    packed_bytes: float
    """Per question of a baseline that compresses."""

    @property
    def packed_ratio(self) -> float:
        """Bytes up against those of a baseline that compresses."""
        per_question = (self.ours.bytes_up + self.audit_bytes + self.verdict_bytes) / self.ours.answers
        return per_question / self.packed_bytes


class Run:
    """Both meshes in one folder."""

    def __init__(self, folder: Path, stack: ExitStack, console: Console) -> None:
        self._folder = folder
        self._console = console
        self._control = ControlPlane(folder)
        stack.callback(self._control.stop)
        self._control.wait_ready()
        self._mesh = Mesh(folder, MeshOptions(self._control.join, HOPS_MS, 0.0))
        stack.callback(self._mesh.stop)
        self._baseline = AlwaysUp(folder / "always-up", HOPS_MS)
        stack.callback(self._baseline.stop)
        self._packed = AlwaysUp(folder / "always-up-packed", (0.0,) * len(HOPS_MS), compress=True)
        stack.callback(self._packed.stop)

    def __call__(self, digits: Digits) -> tuple[Figures, Measured]:
        """Measures; raises DemoFailed and UpriverError."""
        hops = dict(zip(TIERS[1:], HOPS_MS, strict=True))
        certified = provision(self._mesh, self._control, load_unseen(), hops, False, self._console)
        with self._console.status("starting the agents that send everything up"):
            self._baseline.start()
        found(self._mesh, digits)
        top = alone(self._mesh.first(TIERS[-1]).address, digits)
        ours, baseline = self._ask_both(digits)
        decision = decision_us(self._device_policy(certified), digits, self._folder)
        audits, verdicts = self._audit_bytes()
        figures = Figures(
            local_share=round(local_share(ours.answered), 4),
            certified_loss=certified.max_loss,
            realised_loss=round(loss(ours.answered, top), 5),
            bytes_up_ratio=round((ours.bytes_up + audits + verdicts) / baseline.bytes_up, 4),
            latency_ratio=round(float(np.mean(ours.latencies_ms) / np.mean(baseline.latencies_ms)), 4),
            p99_ratio=round(ours.percentile_ms(99) / baseline.percentile_ms(99), 4),
            decision_us=round(decision, 2),
        )
        return figures, Measured(certified, ours, baseline, audits, verdicts, self._packed_bytes(digits))

    def _ask_both(self, digits: Digits) -> tuple[Tally, Tally]:
        size = make_request(digits.images[:1]).ByteSize()
        ours, baseline = Tally(size), Tally(size)
        asked = (
            ([device.address for device in self._mesh.devices], ours),
            ([self._baseline.address], baseline),
        )
        with Progress(console=self._console, transient=True) as progress:
            task = progress.add_task("asking both in turns", total=len(asked) * TURNS)
            for addresses, _ in asked:
                ask(addresses, digits, Tally(0), range(min(WARM, len(digits))))
            edges = [len(digits) * turn // TURNS for turn in range(TURNS + 1)]
            for start, stop in pairwise(edges):
                for addresses, tally in asked:
                    ask(addresses, digits, tally, range(start, stop))
                    progress.advance(task)
        for name, tally in (("the cascade", ours), ("the baseline", baseline)):
            if tally.failed or tally.degraded:
                raise DemoFailed(f"{name}: {tally.failed} questions failed, {tally.degraded} were degraded")
        return ours, baseline

    def _packed_bytes(self, digits: Digits) -> float:
        """Bytes up per question of a baseline that compresses, over some of the digits."""
        self._packed.start()
        ask([self._packed.address], digits, Tally(0), range(min(WARM, len(digits))))
        tally = Tally(0)
        ask([self._packed.address], digits, tally, range(min(PACKED, len(digits))))
        return tally.bytes_up / max(1, tally.answers)

    def _device_policy(self, certified: Certified) -> PolicyDocument:
        request = policy_pb2.GetPolicyRequest(name=certified.policies[TIERS[0]])
        return read_policy(self._control.connection.call(_POLICIES, "GetPolicy", request).policy.document)

    def _audit_bytes(self) -> tuple[float, float]:
        """What audits sent to the top and what was told of them, on every link; once nothing waits any more."""
        deadline = time.monotonic() + AUDITS_S
        while any(slot.reported.monitor.waiting for agent in self._control.agents().values() for slot in agent.slots):
            if time.monotonic() > deadline:
                raise DemoFailed(f"audits still wait after {AUDITS_S:.0f} s")
            time.sleep(0.5)
        time.sleep(DELIVERY_S)
        self._mesh.stop()
        audits = verdicts = 0
        for agent in self._mesh.agents.values():
            told = dict(_BYTES.findall(agent.program.log.read_text()))
            links = len(TIERS) - 1 - TIERS.index(agent.tier)
            audits += links * int(told.get("audit_bytes_up", 0))
            verdicts += links * int(told.get("verdict_bytes_up", 0))
        return audits, verdicts


def ask(addresses: Sequence[str], digits: Digits, tally: Tally, part: range) -> None:
    """Asks about some of the digits."""
    ask_all(addresses, digits, tally, threading.Event(), lambda: None, lambda n: n < len(part), part.__getitem__)


def decision_us(document: PolicyDocument, digits: Digits, folder: Path) -> float:
    """Microseconds from what the device's model said of one digit to the decision: score, threshold, comparison."""
    version = open_version(MODELS / TIERS[0], folder / "timed")
    predictor = open_predictor(version)
    score, policy = make_scorer(version.manifest, document), make_policy(document)
    said = [predictor.predict({"image": digits.images[index : index + 1]}) for index in range(min(TIMED, len(digits)))]

    def decide() -> None:
        for prediction in said:
            decide_alone(score(prediction), effective_threshold(policy, None), DEFAULT_OPTIONS)

    return min(timeit.repeat(decide, number=1, repeat=20)) / len(said) * 1e6


def show(figures: Figures, measured: Measured, console: Console) -> None:
    """Prints the figures and how they stand against the targets."""
    ours, baseline, certified = measured.ours, measured.baseline, measured.certified
    table = Table("per question", "cascade", "everything to the top", title=f"{ours.answers:,} digits")
    for name, of in (
        ("bytes up of questions", lambda tally: tally.bytes_up / tally.answers),
        ("mean latency, ms", lambda tally: float(np.mean(tally.latencies_ms))),
        ("p50 latency, ms", lambda tally: tally.percentile_ms(50)),
        ("p99 latency, ms", lambda tally: tally.percentile_ms(99)),
    ):
        table.add_row(name, *(f"{of(tally):,.2f}" for tally in (ours, baseline)))
    table.add_row("bytes up of audits", f"{measured.audit_bytes / ours.answers:,.2f}", "")
    table.add_row("bytes up of what audits found", f"{measured.verdict_bytes / ours.answers:,.2f}", "")
    console.print(table)
    shares = ", ".join(f"{tier} {ours.by_tier[tier] / ours.answers:.1%}" for tier in TIERS)
    console.print(f"answered by: {shares}", highlight=False)
    proven = f"at most {certified.max_loss:.1%} lost with {certified.confidence:.0%} confidence"
    seen = f"{certified.losses} of {certified.questions:,} lost, {certified.local_share:.1%} local"
    console.print(f"certified: {proven} ({seen})", highlight=False)
    console.print(f"bytes up against a baseline that compresses too: {measured.packed_ratio:.3f}", highlight=False)
    tell(console, [("local share", figures.local_share, LOCAL_SHARE)], ".3f", at_least=True)
    tell(
        console,
        [
            ("realised loss", figures.realised_loss, figures.certified_loss),
            ("bytes up / everything to the top", figures.bytes_up_ratio, BYTES_UP),
            ("mean latency / everything to the top", figures.latency_ratio, LATENCY),
            ("score and decision, us", figures.decision_us, DECISION_US),
        ],
        ".4g",
    )


def main(arguments: Sequence[str]) -> int:
    """Runs the benchmark; gives the exit status."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench cascade", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} digits, to see that it runs")
    options = parser.parse_args(arguments)
    console = Console(stderr=True)
    try:
        digits = load_test()
        if options.quick:
            digits = digits.part(0, QUICK)
        with tempfile.TemporaryDirectory(prefix="upriver-bench-") as folder, ExitStack() as stack:
            figures, measured = Run(Path(folder), stack, console)(digits)
    except (DemoFailed, DigitsMissing, UpriverError) as error:
        console.print(f"bench: {error}", style="red", highlight=False, markup=False)
        return 1
    show(figures, measured, Console())
    if options.json is not None:
        options.json.write_text(json.dumps(asdict(figures), indent=2) + "\n")
    return 0
