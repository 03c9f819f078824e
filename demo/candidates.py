"""The versions that the demo rolls out in the middle of the stream, and what each is worth by itself."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from demo.control import MODELS
from demo.digits import Digits, load_test
from demo.processes import DemoFailed
from demo.weights import pruned, read_layers, with_layers
from upriver_agent.predictor import Prediction
from upriver_agent.serving.loader import Loader, LoaderOptions

KEPT = 0.25
"""Of the last layer's weights, in the version that is worse."""
_WORSE = "device-14px-pruned"
_BATCH = 500


@dataclass(frozen=True)
class Candidate:
    """A version to roll out to the devices. `name` is what the summary calls it, `ends` how the rollout is to end."""

    name: str
    what: str
    ends: str
    folder: Callable[[Path], Path]
    """Gives the version's folder; it may be made below the one that it is given."""


def _better(folder: Path) -> Path:
    del folder
    return MODELS / "device-better"


def _worse(folder: Path) -> Path:
    made = folder / "device-worse"
    shutil.copytree(MODELS / "device", made)
    model, manifest = made / "model.tflite", made / "manifest.toml"
    content = model.read_bytes()
    *layers, last = read_layers(content)
    model.write_bytes(with_layers(content, [*layers, pruned(last, KEPT)]))
    manifest.write_text(manifest.read_text().replace('version = "device-14px"', f'version = "{_WORSE}"'))
    return made


BETTER = Candidate("device-better", "its last two layers trained further", "completed", _better)
WORSE = Candidate("device-worse", f"its last layer pruned to {KEPT:.0%} of its weights", "rolled-back", _worse)


def accuracies(versions: Sequence[Path], count: int, folder: Path) -> list[float]:
    """Each version's accuracy by itself on the first `count` digits; raises DemoFailed.

    They run in a process of their own, with its log in `folder`: the runtime writes to standard error as it likes.
    """
    log = folder / "accuracies.log"
    command = [sys.executable, "-m", "demo.candidates", str(count), str(folder), *map(str, versions)]
    with log.open("wb") as errors:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=errors, check=False)  # noqa: S603 - our own module
    if done.returncode:
        raise DemoFailed(f"the models could not be tried; the log:\n{log.read_text()[-2000:]}")
    return [float(line) for line in done.stdout.split()]


def _accuracy(version: Path, digits: Digits, state: Path) -> float:
    loaded = Loader(LoaderOptions("auto", 1, 1, 1000.0, state))(version)
    right = 0
    for at in range(0, len(digits), _BATCH):
        part = digits.part(at, at + _BATCH)
        found = loaded.predict({"image": part.images}, len(part))
        answer = found if isinstance(found, Prediction) else found.result()
        if answer.scores is not None:
            right += int((answer.scores.argmax(axis=1) == part.labels).sum())
    loaded.close()
    return right / len(digits)


if __name__ == "__main__":
    for version in sys.argv[3:]:
        print(_accuracy(Path(version), load_test().part(0, int(sys.argv[1])), Path(sys.argv[2])))
