"""One training from the order to the files that come out: gather, prepare, train, convert, evaluate.

Rows that are held out go into nothing but the evaluation, and from there to the calibration: not into the model, the
choice of a conversion or the scales of quantised numbers. No lesson's input goes into the version itself.
"""

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from upriver.errors import InvalidInput, ModelInvalid
from upriver.listing import GOLDEN, MANIFEST, MODEL
from upriver.questions import LABELS, RowsWriter, inputs_of, read_rows
from upriver_control.convert import convert_to_version
from upriver_control.convert.conversion import open_trained
from upriver_control.convert.cost import Quantise
from upriver_control.intake.contract import Input, read_contract
from upriver_control.jobs.training import REPLAY_LEFT_OUT, Evaluation, TrainResult
from upriver_control.priors import write_prior
from upriver_control.training import answering, code, manifests
from upriver_control.training.dataset import BaseVersion, Batch, Dataset, write_chunk
from upriver_control.training.gathering import (
    NEW_LABEL_LESSONS,
    UNKNOWN_LABEL,
    Row,
    data_digest,
    enough,
    is_held_out,
    learnt_labels,
    rows_of,
    spread,
    stacked,
    targets_of,
)
from upriver_control.training.order import BASE, HOLDOUT, MADE_LESSONS, REPLAY, SOURCE, VERSION, Order, write_result
from upriver_control.validation import make_golden

Array = NDArray[Any]
Tell = Callable[[str, float], None]
REPRESENTATIVE: Final = 500
GOLDEN_ROWS: Final = 8
_ANSWER_S: Final = 600.0


@dataclass(slots=True)
class Gathered:
    """Lessons and what is replayed, to train on and to hold the outcome against."""

    labels: tuple[str, ...]
    train: list[Row] = field(default_factory=list)
    held: list[Row] = field(default_factory=list)
    replay: list[Row] = field(default_factory=list)
    replay_held: list[Row] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


def run(order: Order, tables: Iterable[pa.Table], tell: Tell) -> None:
    """Trains as ordered; what comes out is in `order.made`. Raises UpriverError with the reason."""
    base, contract = _base(order)
    tell("reading lessons", 0.0)
    gathered = gather(order, base, contract, tables)
    function = code.load(order.spec.code)
    aside = order.path("aside")
    aside.mkdir(exist_ok=True)
    order.made.mkdir(exist_ok=True)
    tell(f"preparing {len(gathered.train) + len(gathered.replay)} rows", 0.05)
    dataset = _dataset(order, base, contract, gathered, aside)
    tell(f"training on {len(gathered.train)} lessons", 0.15)
    os.chdir(dataset.folder)
    trained = function(dataset, base)
    tell("converting", 0.75)
    version, told = _converted(order, base, contract, gathered, trained, aside)
    tell("holding it against lessons that it never saw", 0.9)
    evaluations = _evaluated(base, contract, gathered, aside, version)
    digest = _kept(order, contract, gathered)
    result = TrainResult(
        lessons=len(gathered.train),
        holdout=len(gathered.held),
        replayed=len(gathered.replay),
        evaluations=evaluations,
        code_digest=function.digest,
        data_digest=digest,
        left_out=dict(gathered.left_out),
        new_labels=gathered.labels[len(base.labels) :],
        conversion=told,
    )
    write_result(result, order.made)


def gather(order: Order, base: BaseVersion, contract: Sequence[Input], tables: Iterable[pa.Table]) -> Gathered:
    """Splits lessons and what is replayed; raises InvalidInput when there is too little."""
    spec, left_out = order.spec, Counter[str]()
    rows = [row for table in tables for row in rows_of(table, contract, left_out)]
    train = [row for row in rows if not is_held_out(row.id, spec.holdout)]
    least = int(spec.settings.get("new_label_lessons", NEW_LABEL_LESSONS))
    found = Gathered(learnt_labels(base.labels, train, least), left_out=left_out)
    for row in rows:
        if row.label not in found.labels:
            left_out[UNKNOWN_LABEL] += 1
        else:
            (found.held if is_held_out(row.id, spec.holdout) else found.train).append(row)
    enough(len(found.train), len(found.held))
    if order.path(REPLAY).exists():
        for row in _replayed(order.path(REPLAY), spec.replay, contract, base.labels, left_out):
            (found.replay_held if is_held_out(row.id, spec.holdout) else found.replay).append(row)
    return found


def _replayed(
    path: Path, digest: str, contract: Sequence[Input], labels: Sequence[str], left_out: Counter[str]
) -> Iterable[Row]:
    number = 0
    for group in read_rows(path):
        inputs = inputs_of(group)
        if LABELS not in group or inputs.keys() != {one.name for one in contract}:
            raise InvalidInput(f"what is replayed has {', '.join(group)}; expected labels and the model's inputs")
        for at, told in enumerate(group[LABELS]):
            label = told.decode("utf-8", "replace")
            if label not in labels and label.isdecimal() and int(label) < len(labels):
                label = labels[int(label)]
            if label in labels:
                yield Row(f"{digest}/{number}", "", label, {name: array[at] for name, array in inputs.items()})
            else:
                left_out[REPLAY_LEFT_OUT] += 1
            number += 1


def _base(order: Order) -> tuple[BaseVersion, tuple[Input, ...]]:
    folder, source = order.path(BASE), order.path(SOURCE)
    text = (folder / MANIFEST).read_text(encoding="utf-8")
    document = manifests.read_manifest(text, order.spec.base)
    scores, logits = manifests.scores_of(document)
    base = BaseVersion(
        name=order.spec.base,
        digest=order.spec.base_digest,
        folder=folder,
        source=source if source.exists() else None,
        manifest=document,
        labels=manifests.labels_of(document),
        scores=scores,
        logits=logits,
    )
    return base, read_contract(text)


def _dataset(order: Order, base: BaseVersion, contract: Sequence[Input], gathered: Gathered, aside: Path) -> Dataset:
    """Everything to train on as the model's own inputs, in files."""
    preparer = base.folder
    if base.source is not None:  # as its numbers were before they were quantised
        preparer = aside / "float"
        preparer.mkdir(exist_ok=True)
        (preparer / MODEL).write_bytes(open_trained(base.source, aside).convert(Quantise.FLOAT, None))
        (preparer / MANIFEST).write_bytes((base.folder / MANIFEST).read_bytes())
    rows = [*gathered.train, *gathered.replay]
    chunks: list[Path] = []
    for at in range(0, len(rows), answering.MOST_ROWS):
        taken = rows[at : at + answering.MOST_ROWS]
        arrays = stacked(taken, contract)
        for part in answering.slices(arrays):
            given = {name: array[part] for name, array in arrays.items()}
            batch = Batch(
                answering.prepared(preparer, given, aside, _ANSWER_S),
                targets_of(taken[part], gathered.labels),
                np.asarray([not row.region for row in taken[part]], np.bool_),
            )
            chunks.append(aside / f"chunk-{len(chunks):05d}.npz")
            write_chunk(chunks[-1], batch)
    folder = order.path("work")
    folder.mkdir(exist_ok=True)
    return Dataset(gathered.labels, len(rows), order.spec.settings, folder, chunks)


def _converted(
    order: Order, base: BaseVersion, contract: Sequence[Input], gathered: Gathered, trained: Path, aside: Path
) -> tuple[Path, str]:
    """The version's folder, and how it was converted."""
    trained = trained.resolve()
    manifest, samples, folder = aside / MANIFEST, aside / "representative.npz", order.made / VERSION
    folder.mkdir()
    told = f"trained from {base.name} on {len(gathered.train)} lessons"
    name = f"{order.prefix}-{_sha(trained)[:8]}"
    manifest.write_text(manifests.renewed(base.manifest, name, gathered.labels, told), encoding="utf-8")
    rows = spread([*gathered.train, *gathered.replay], REPRESENTATIVE)
    places = {label: place for place, label in enumerate(gathered.labels)}
    answering.write_samples(samples, stacked(rows, contract), [places[row.label] for row in rows])
    conversion = convert_to_version(trained, manifest, samples, order.spec.quantise, folder)
    _golden(base, contract, gathered, folder, aside)
    if base.manifest["outputs"].get("embedding"):
        _prior(contract, gathered, folder, aside)
    if trained.suffix == ".keras":
        (order.made / SOURCE).write_bytes(trained.read_bytes())
    return folder, conversion.told


def _golden(base: BaseVersion, contract: Sequence[Input], gathered: Gathered, folder: Path, aside: Path) -> None:
    """Golden samples go to every device, so they are made of what was published before, never of lessons."""
    samples = aside / "golden-inputs.npz"
    if (base.folder / GOLDEN).exists():
        with np.load(base.folder / GOLDEN, allow_pickle=False) as archive:
            inputs = {name: archive[name] for name in archive.files if name.startswith("inputs/")}
        with samples.open("wb") as out:
            np.savez(out, allow_pickle=False, **inputs)
    elif gathered.replay:
        answering.write_samples(samples, stacked(gathered.replay[:GOLDEN_ROWS], contract))
    else:
        return
    make_golden(folder, samples, folder / GOLDEN)


def _prior(contract: Sequence[Input], gathered: Gathered, folder: Path, aside: Path) -> None:
    """What agents learn on from here: the sums over all that it was trained on, and no input of it."""
    questions = aside / "trained-on"
    _write_rows(questions, [*gathered.train, *gathered.replay], contract)
    write_prior(folder, questions, aside / "embeddings")
    questions.unlink()


def _write_rows(path: Path, rows: Sequence[Row], contract: Sequence[Input]) -> None:
    """Rows as a questions file with labels."""
    with path.open("wb") as out, RowsWriter(out) as writer:
        for at in range(0, len(rows), 256):
            taken = rows[at : at + 256]
            labels = np.empty(len(taken), object)
            labels[:] = [row.label for row in taken]
            inputs = {f"inputs/{name}": array for name, array in stacked(taken, contract).items()}
            writer.add({**inputs, LABELS: labels})


def _evaluated(
    base: BaseVersion, contract: Sequence[Input], gathered: Gathered, aside: Path, version: Path
) -> tuple[Evaluation, ...]:
    rows = [*gathered.held, *gathered.replay_held]
    arrays = stacked(rows, contract)
    answers = []
    for folder, labels in ((version, gathered.labels), (base.folder, base.labels)):
        found = answering.scores(folder, base.scores, arrays, aside, _ANSWER_S)
        if found.ndim != 2 or found.shape[1] != len(labels):
            raise ModelInvalid(
                f"{folder.name}: gives scores {list(found.shape[1:])}; expected {len(labels)}, as labels"
            )
        answers.append([labels[place] for place in found.argmax(axis=1)])
    regions: Mapping[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for row, new, old in zip(rows, *answers, strict=True):
        counts = regions[row.region]
        counts[:] = [counts[0] + 1, counts[1] + (new == row.label), counts[2] + (old == row.label)]
    return tuple(Evaluation(region, *counts) for region, counts in sorted(regions.items()))


def _kept(order: Order, contract: Sequence[Input], gathered: Gathered) -> str:
    """Writes which lessons these were and the held-out questions; gives the digest of what was trained on."""
    uses = [(row, "train") for row in gathered.train] + [(row, "holdout") for row in gathered.held]
    table = pa.table(
        {
            "id": [row.id for row, _ in uses],
            "region": [row.region for row, _ in uses],
            "label": [row.label for row, _ in uses],
            "use": [use for _, use in uses],
            "trace": [row.origin.trace_id for row, _ in uses],
            "span": [row.origin.span_id for row, _ in uses],
        }
    )
    pq.write_table(table, order.made / MADE_LESSONS, compression="zstd")
    _write_rows(order.made / HOLDOUT, gathered.held, contract)
    spec = order.spec
    return data_digest(((row.id, row.label) for row in gathered.train), spec.base_digest, spec.replay)


def _sha(path: Path) -> str:
    files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.is_file())
    found = hashlib.sha256()
    for file in files:
        found.update(file.read_bytes())
    return found.hexdigest()
