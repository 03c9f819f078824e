"""What learning costs and loses where it runs: a device and a cloud, real processes that know each other by
configuration, without a control plane."""

import json
import random
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc

from bench.learning_digits import DEVICE, TOP
from demo.asking import Asker, make_request, read
from demo.digits import Digits
from demo.mesh import TIERS
from demo.processes import DemoFailed, Program, end

DEVICE_TIER, TOP_TIER = TIERS[0], TIERS[-1]
MAX_LOSS, HOLDOUT = 0.01, 0.4
"""What a head may lose, and the share of questions that is held out: the latter is what agents have by themselves."""
SETTLE_S: Final = 3.0
"""Lessons are written some at a time; within so long those that were heard are on the disk."""
_FOUND_S: Final = 30.0
_ALL: Final = 0.01
"""The smallest holdout: nearly everything that comes from above becomes a lesson."""
_NEVER: Final = 2.0
"""A threshold that nothing reaches."""
_AGENT = """
[agent]
id = "{name}"
tier = "{tier}"
tiers = {tiers}
listen = "{listen}"
state_dir = {state}
[cascade]
trust = "network"
[learning]
enabled = {learns}
trust = "network"
access = "network"
holdout = {holdout}
max_loss = {max_loss}
confidence = 0.95
caller_per_min = 0.0
teacher_per_min = 0.0
[tickets]
enabled = false
[telemetry]
sample_rate = 0.0
[[models]]
path = {model}
"""
_ABOVE = '[[discovery.static]]\nid = "{name}"\ntier = "{tier}"\naddress = "{address}"\n'


@dataclass(frozen=True, slots=True)
class Kills:
    """What became of lessons when agents were killed so many `times`.

    `lost` are lessons that had been seen in the journal and were not there any more. `answered` questions came back
    from above, of which `kept` are lessons: the others were held out, or heard and not yet written when it ended.
    """

    times: int
    answered: int
    kept: int
    lost: int


class Pair:
    """A cloud, and devices below it, in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._programs: dict[str, Program] = {}
        self._configs: dict[str, Path] = {}
        self.addresses: dict[str, str] = {}

    def start_top(self) -> None:
        """Starts the cloud; raises DemoFailed."""
        self._configure("top", TOP_TIER, TOP, learns=False)
        self.restart("top")

    def start_device(
        self, name: str, learns: bool, holdout: float, threshold: float, max_loss: float = MAX_LOSS
    ) -> None:
        """Starts a device that answers from a `threshold` on; raises DemoFailed."""
        model = self._folder / f"model-{name}"
        shutil.copytree(DEVICE, model)
        manifest = model / "manifest.toml"
        lines = manifest.read_text().splitlines()
        changed = [f"threshold = {threshold}" if line.startswith("threshold = ") else line for line in lines]
        manifest.write_text("\n".join(changed) + "\n")
        self._configure(name, DEVICE_TIER, model, learns, holdout, max_loss)
        self.restart(name)

    def restart(self, name: str) -> None:
        """Starts an agent, the next time on the port that it had; raises DemoFailed."""
        (self._folder / f"{name}.ready").unlink(missing_ok=True)
        program = Program(name, ["-m", "upriver_agent", "--config", str(self._configs[name])], self._folder)
        self._programs[name] = program
        address = str(program.wait_ready()["address"])
        if name not in self.addresses:
            self.addresses[name] = address
            text = self._configs[name].read_text()
            self._configs[name].write_text(text.replace('listen = "127.0.0.1:0"', f'listen = "{address}"'))

    def kill(self, name: str) -> None:
        """kill -9."""
        self._programs[name].kill()
        self._programs[name].process.wait(10)

    def stop(self) -> None:
        """Ends all."""
        end(self._programs.values())

    def lessons(self, name: str) -> set[tuple[str, int]]:
        """Which rows of which questions are lessons in an agent's journal, as it is on the disk; raises DemoFailed."""
        file = self._folder / f"state-{name}" / "lessons.db"
        if not file.exists():
            return set()
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=10.0)) as journal:
            try:
                rows = journal.execute("SELECT question, row FROM lesson").fetchall()
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):  # yet
                    return set()
                raise DemoFailed(f"the lessons of {name} can't be read: {error}") from error
        return {(str(question), int(row)) for question, row in rows}

    def wait_found(self, name: str, digits: Digits) -> None:
        """Waits until a device finds the cloud; raises DemoFailed."""
        deadline = time.monotonic() + _FOUND_S
        with asking(self.addresses[name]) as asker:
            while read(asker.ask(make_request(digits.images[:1], mode="top")), 0.0).tier != TOP_TIER:
                if time.monotonic() > deadline:
                    raise DemoFailed(f"{name} did not find the cloud within {_FOUND_S:.0f} s")
                time.sleep(0.05)

    def _configure(
        self,
        name: str,
        tier: str,
        model: Path,
        learns: bool,
        holdout: float = HOLDOUT,
        max_loss: float = MAX_LOSS,
    ) -> None:
        config = self._folder / f"{name}.toml"
        text = _AGENT.format(
            name=name,
            tier=tier,
            tiers=json.dumps([DEVICE_TIER, TOP_TIER]),
            listen="127.0.0.1:0",
            state=json.dumps(str(self._folder / f"state-{name}")),
            learns=json.dumps(learns),
            holdout=holdout,
            max_loss=max_loss,
            model=json.dumps(str(model)),
        )
        if tier == DEVICE_TIER:
            text += _ABOVE.format(name="top", tier=TOP_TIER, address=self.addresses["top"])
        config.write_text(text)
        self._configs[name] = config


@contextmanager
def asking(address: str) -> Iterator[Asker]:
    """Asks an agent, until the end."""
    asker = Asker(address)
    try:
        yield asker
    finally:
        asker.close()


def kills(pair: Pair, digits: Digits, times: int, seed: int) -> Kills:
    """Kills the device or the cloud `times` times while the device is asked, and looks what is left of its lessons.

    The device sends everything up. Digits are asked once each; a question that fails is not asked again. Raises
    DemoFailed when nothing was learnt that could have been lost.
    """
    chance = random.Random(seed)  # noqa: S311 - when to kill is no secret
    pair.start_top()
    pair.start_device("pupil", True, _ALL, _NEVER)
    pair.wait_found("pupil", digits)
    asked = _Background(pair.addresses["pupil"], digits)
    lost = 0
    try:
        for _ in range(times):
            time.sleep(chance.uniform(0.05, 1.0))
            before = pair.lessons("pupil")
            victim = "pupil" if chance.random() < 0.7 else "top"
            pair.kill(victim)
            pair.restart(victim)
            lost += len(before - pair.lessons("pupil"))
    finally:
        asked.stop()
    time.sleep(SETTLE_S)
    kept = len(pair.lessons("pupil"))
    if not asked.answered or not kept:
        raise DemoFailed(f"{asked.answered} questions came back and {kept} are lessons: nothing could be lost")
    return Kills(times, asked.answered, kept, lost)


class _Background:
    """Asks a device about one digit after the other, whatever comes back."""

    def __init__(self, address: str, digits: Digits) -> None:
        self.answered = 0
        """Questions that came back from the cloud."""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(address, digits), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends it."""
        self._over.set()
        self._thread.join(15.0)

    def _run(self, address: str, digits: Digits) -> None:
        with asking(address) as asker:
            for index in range(len(digits)):
                if self._over.is_set():
                    return
                try:
                    told = read(asker.ask(make_request(digits.images[index : index + 1])), 0.0)
                except grpc.RpcError:
                    time.sleep(0.02)
                    continue
                self.answered += told.tier == TOP_TIER
