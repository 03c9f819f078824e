"""Trains the demo's models and writes them as versions into demo/models. Needs TensorFlow (the `train` extra).

The cloud's network learns from labels. The tiers below learn what the cloud answers, because that is what a certificate
holds them to. There is one for each tier, and a better one for the device, which `demo/refine.py` makes of the first.
One more for the device knows five digits alone (`demo/five.py`): heads are learnt on it, from the sums in `prior.npz`.
"""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from demo.converting import convert
from demo.digits import Digits, load_test, load_train, load_tune
from demo.five import RECIPE as FIVE
from demo.five import shown, statistics_of, train_five
from demo.judging import LABELS, MODELS, Judged, answers, write_version
from demo.learning import Lessons, Teacher, scaled, train
from demo.networks import RECIPES
from demo.refine import refine
from demo.streams import KNOWN
from demo.warping import Floats, Images
from upriver.head_statistics import write_statistics

BETTER = "device-better"
_DEVICE, _TOP = RECIPES[0], RECIPES[-1]


def main() -> None:
    """Trains, converts, refines, chooses thresholds, measures, writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    names = [*(recipe.tier for recipe in RECIPES), BETTER, FIVE.tier]
    parser.add_argument("--only", choices=names, action="append", help="make only these, of the cloud that is there")
    only = parser.parse_args().only or names
    lessons, parameters = Lessons(load_train()), {}
    teacher = _teacher(_file(_TOP.tier))
    for recipe in reversed(RECIPES):
        if recipe.tier not in only:
            continue
        started = time.monotonic()
        print(f"== {recipe.tier}", flush=True)
        model = train(recipe, lessons, None if recipe is _TOP else teacher)
        parameters[recipe.tier] = model.count_params()
        _file(recipe.tier).write_bytes(convert(model, recipe, scaled(lessons.images(0), recipe.side)))
        print(f"{recipe.tier}: trained and converted in {time.monotonic() - started:.0f} s", flush=True)
    if BETTER in only or _DEVICE.tier in only:  # it is made of the device's
        print(f"== {BETTER}", flush=True)
        _file(BETTER).write_bytes(refine(_file(_DEVICE.tier).read_bytes(), _DEVICE.side, lessons, teacher))
    if FIVE.tier in only:
        print(f"== {FIVE.tier}", flush=True)
        parameters[FIVE.tier] = make_five(shown(load_train()))
    publish(parameters, load_tune(), load_test())


def make_five(digits: Digits) -> int:
    """Makes the model that knows five digits of digits that it is `shown`, its prior, and what a training goes on from;
    gives its parameters."""
    model, file = train_five(digits), _file(FIVE.tier)
    file.write_bytes(convert(model, FIVE, scaled(digits.images[:500], FIVE.side)))
    model.save(file.with_name("source.keras"))
    arrays = write_statistics(statistics_of(file, digits))
    outer, toward = (arrays[name].astype(np.float32) for name in ("outer", "toward"))
    np.savez(file.with_name("prior.npz"), labels=arrays["labels"], outer=outer, toward=toward)
    return int(model.count_params())


def publish(parameters: dict[str, int], tune: Digits, test: Digits) -> None:
    """Chooses thresholds on the tuning digits, measures on the test digits, writes manifests and records."""
    models = [_judged(recipe.tier, recipe.side, f"{recipe.tier}-{recipe.side}px", parameters) for recipe in RECIPES]
    better = {BETTER: models[0].parameters}
    models.append(_judged(BETTER, _DEVICE.side, f"device-{_DEVICE.side}px-better", better))
    seen = {model.folder: answers(model.file, scaled(tune.images, model.side)) for model in models}
    tested = {model.folder: answers(model.file, scaled(test.images, model.side)) for model in models}
    limits = {
        model.folder: write_version(
            model, (seen[model.folder], seen[_TOP.tier], tune), (tested[model.folder], tested[_TOP.tier], test)
        )
        for model in models
    }
    for first in (_DEVICE.tier, BETTER):
        report_cascade((first, *(recipe.tier for recipe in RECIPES[1:])), tested, limits, test)

    publish_five(parameters, tune, test)


def publish_five(parameters: dict[str, int], tune: Digits, test: Digits) -> None:
    """The same for the model that knows five digits, on those."""
    model = _judged(FIVE.tier, FIVE.side, f"device-{FIVE.side}px-five", parameters, KNOWN)
    known = [_of_labels(digits, KNOWN) for digits in (tune, test)]
    told = [
        (answers(model.file, scaled(part.images, FIVE.side)), answers(_file(_TOP.tier), scaled(part.images, _TOP.side)))
        for part in known
    ]
    write_version(model, (*told[0], known[0]), (*told[1], known[1]))


def report_cascade(ladder: Sequence[str], tested: dict[str, Floats], limits: dict[str, float], test: Digits) -> None:
    """Prints what the cascade makes of the test digits with the manifests' thresholds."""
    left = np.ones(len(test), bool)
    labels = np.zeros(len(test), np.int64)
    for name in ladder:
        here = left & (tested[name].max(axis=1) >= limits[name]) if name != ladder[-1] else left
        labels[here] = tested[name].argmax(axis=1)[here]
        print(f"{name}: answers {here.mean():.2%}")
        left &= ~here
    right, lost = labels == test.labels, labels != tested[ladder[-1]].argmax(axis=1)
    print(f"cascade from {ladder[0]}: {right.mean():.2%} right, {lost.mean():.2%} otherwise than the top")


def _teacher(file: Path) -> Teacher:
    """The cloud's model as it is deployed: what its probabilities tell of its logits."""

    def teacher(images: Images) -> Floats:
        parts = [images[at : at + 5_000] for at in range(0, len(images), 5_000)]
        seen = np.concatenate([answers(file, scaled(part, _TOP.side)) for part in parts])
        logits: Floats = np.log(np.maximum(seen, np.float32(1e-9)))
        return logits

    return teacher


def _of_labels(digits: Digits, below: int) -> Digits:
    known = digits.labels < below
    return Digits(digits.images[known], digits.labels[known])


def _judged(folder: str, side: int, version: str, parameters: dict[str, int], labels: int = LABELS) -> Judged:
    record = MODELS / folder / "accuracy.json"
    known = json.loads(record.read_text()) if record.exists() else {}
    return Judged(folder, side, version, parameters.get(folder, known.get("parameters", 0)), labels)


def _file(name: str) -> Path:
    folder = MODELS / name
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "model.tflite"


if __name__ == "__main__":
    main()
