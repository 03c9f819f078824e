"""Drift in the middle of the stream: alarms are watched for, until what the mesh loses is under its target again."""

import threading
import time
from dataclasses import asdict, dataclass, field

from demo.control import ControlPlane
from demo.drift import SETTLED, Alarm, order, phases
from demo.tally import Labels, Tally, loss
from upriver.errors import UpriverError

AUDITS_RATE, AUDITS_PER_S = 0.1, 2_000.0
"""Instead of the usual 2 % of questions and 20 a second, so that it takes seconds."""
MOST = 4
"""The stream is at most so many times as long as the digits."""
_MODEL = "digits"
_LOOK_S = 0.1


@dataclass
class DriftStory:
    """One drift on a stream about `count` digits, from question `start` on. `top` is what the top says to each digit.

    `notes` tell what happened, in words; `is_as_meant` whether an alarm rang and what is lost is under `target` again.
    """

    control: ControlPlane
    tally: Tally
    top: Labels
    count: int
    start: int
    target: float
    stop: threading.Event
    notes: list[str] = field(default_factory=list)
    alarms: dict[str, Alarm] = field(default_factory=dict)
    is_as_meant: bool = False
    is_over: bool = False
    _watcher: threading.Thread | None = None

    def begin(self) -> None:
        """Watches for alarms, in the background."""
        self._watcher = threading.Thread(target=self._watch, name="demo-drift", daemon=True)
        self._watcher.start()

    def order(self, number: int) -> int:
        """Which digit question `number` is about."""
        return order(number, self.count, self.start)

    def goes_on(self, number: int) -> bool:
        """Whether question `number` is to be asked: all once, and on until it has settled, within bounds."""
        return number < self.count or (not self.is_as_meant and number < MOST * self.count)

    def look(self) -> None:
        """Whether what was lost since the last alarm is under the target."""
        last = max((alarm.questions for alarm in self.alarms.values()), default=None)
        if last is not None and not self.is_as_meant:
            since = [one for one in list(self.tally.answered) if one.number >= last]
            self.is_as_meant = len(since) >= SETTLED and loss(since, self.top) <= self.target

    def end(self) -> None:
        """Stops watching; what is told afterwards does not change any more."""
        self.is_over = True
        if self._watcher is not None:
            self._watcher.join()
        self.look()

    def record(self) -> dict[str, object]:
        """What `--json` tells of it."""
        parts = phases(self.tally.answered, self.top, self.start, self.alarms)
        return {
            "start": self.start,
            "phases": [asdict(part) for part in parts],
            "alarms": [asdict(alarm) for alarm in self.alarms.values()],
            "returned": self.is_as_meant,
        }

    def _watch(self) -> None:
        while not self.is_over and not self.stop.is_set():
            try:
                monitors = self.control.monitors(_MODEL)
            except UpriverError as error:
                self.notes.append(f"the control plane could not be asked: {error}")
                return
            for agent, monitor in monitors.items():
                if monitor.HasField("alarm_time") and agent not in self.alarms:
                    asked = self.tally.asked
                    self.alarms[agent] = Alarm(agent, asked, asked - self.start, monitor.audits, monitor.disagreements)
                    self.notes.append(
                        f"{agent} rang the alarm {asked - self.start:,} questions after the drift began: of its "
                        f"{monitor.audits} audited answers {monitor.disagreements} were not the cloud's"
                    )
            time.sleep(_LOOK_S)
