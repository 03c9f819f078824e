"""Reading `manifest.toml`: every problem of a document is found in one go, with key, value and what is allowed."""

import tomllib
from typing import Final

from upriver.errors import ManifestError
from upriver.scores import BOX_KINDS, CLASS_KINDS, ScoreKind
from upriver.tensors import Datatype
from upriver_agent.versions.manifest import (
    DEFAULT_MAX_PIXELS,
    Canonical,
    Colour,
    InputRecipe,
    Interpolation,
    Layout,
    Manifest,
    Outputs,
    PolicySpec,
    Resize,
    ScoresAre,
    Task,
    TaskKind,
)
from upriver_agent.versions.toml_table import Table, choices

FORMAT: Final = 1
MAX_DIMENSION: Final = 1 << 24
MAX_RANK: Final = 8
MAX_LABELS: Final = 1_000_000
MAX_SIDE: Final = 16_384
NAME_PATTERN: Final = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
MOST_PIXELS: Final = 178_956_970
"""Where Pillow refuses to decode, whatever a manifest says."""
SCORES_OF: Final[dict[TaskKind, frozenset[ScoreKind]]] = {
    TaskKind.CLASSIFY: CLASS_KINDS | {ScoreKind.SCALAR},
    TaskKind.DETECT: BOX_KINDS,
    TaskKind.SCALAR: frozenset({ScoreKind.SCALAR}),
}


def parse_manifest(text: str, source: str = "manifest.toml") -> Manifest:
    """Reads a manifest; raises ManifestError with every problem that it has. `source` names it in errors."""
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ManifestError(source, [f"not a TOML document: {error}"]) from error
    problems: list[str] = []
    manifest = _manifest(Table(document, "", problems))
    if problems:
        raise ManifestError(source, problems)
    return manifest


def _manifest(root: Table) -> Manifest:
    root.integer("format", FORMAT, FORMAT)
    model = root.text("model", pattern=NAME_PATTERN)
    version = root.text("version", pattern=NAME_PATTERN)
    description = root.text("description", "", allow_empty=True)
    task = _task(root.table("task"))
    canonical = tuple(_canonical(table) for table in root.tables("canonical"))
    inputs = tuple(_recipe(table) for table in root.tables("inputs"))
    outputs = _outputs(root.table("outputs"), task.kind)
    policy = _policy(root.table("policy"), task.kind, outputs)
    root.finish()
    manifest = Manifest(model, version, description, task, canonical, inputs, outputs, policy)
    if not root.problems:
        root.problems.extend(_cross_check(manifest))
    return manifest


def _task(table: Table) -> Task:
    kind = table.choice("kind", TaskKind, default=TaskKind.CLASSIFY, required=True)
    labels = table.texts("labels", most=MAX_LABELS)
    table.finish()
    if labels is not None:
        if not labels:
            table.problem("labels", [], "at least one label, or no such key to take those of the flatbuffer's metadata")
        twice = sorted({label for label in labels if labels.count(label) > 1}) if len(labels) < 10_000 else []
        if twice or len(set(labels)) != len(labels):
            table.problem("labels", twice or "…", "labels that differ from each other")
    return Task(kind, labels)


def _canonical(table: Table) -> Canonical:
    name = table.text("name")
    datatype = table.choice("datatype", Datatype, default=Datatype.FP32, required=True)
    shape = table.integers("shape", 1, MAX_DIMENSION, most=MAX_RANK) or ()
    encoding = table.text("encoding", "")
    encoded = encoding == "image"
    max_pixels = table.integer("max_pixels", 1, MOST_PIXELS, DEFAULT_MAX_PIXELS)
    if encoding and not encoded:
        table.problem("encoding", encoding, '"image", or no such key')
    if encoded and (datatype is not Datatype.BYTES or shape):
        table.problem("encoding", encoding, 'datatype = "BYTES" and no shape beside it: one file a row')
    if not encoded and datatype is Datatype.BYTES:
        table.problem("datatype", str(datatype), 'encoding = "image" beside it, or a numeric datatype')
    if not encoded and table.has("max_pixels"):
        table.problem("max_pixels", max_pixels, 'encoding = "image" beside it')
    table.finish()
    return Canonical(name, datatype, shape, encoded, max_pixels)


def _recipe(table: Table) -> InputRecipe:
    recipe = InputRecipe(
        tensor=table.text("tensor"),
        source=table.text("from"),
        resize=_resize(table.table("resize")) if table.has("resize") else None,
        colour=table.choice("colour", Colour, default=Colour.RGB) if table.has("colour") else None,
        scale=table.number("scale") if table.has("scale") else None,
        mean=table.numbers("mean"),
        std=table.numbers("std"),
        layout=table.choice("layout", Layout, default=Layout.NHWC),
    )
    table.finish()
    if recipe.scale == 0.0:
        table.problem("scale", 0, "a number other than 0")
    for key, values in (("mean", recipe.mean), ("std", recipe.std)):
        if values == ():
            table.problem(key, [], "one number for all channels, or one for each")
    if recipe.std is not None and any(value <= 0.0 for value in recipe.std):
        table.problem("std", list(recipe.std), "numbers above 0")
    return recipe


def _resize(table: Table) -> Resize:
    resize = Resize(
        height=table.integer("height", 1, MAX_SIDE),
        width=table.integer("width", 1, MAX_SIDE),
        interpolation=table.choice("interpolation", Interpolation, default=Interpolation.BILINEAR, required=True),
    )
    table.finish()
    return resize


def _outputs(table: Table, kind: TaskKind) -> Outputs:
    def name(key: str, *, needed: bool) -> str | None:
        return table.text(key) if needed or table.has(key) else None

    match kind:
        case TaskKind.CLASSIFY:
            outputs = Outputs(
                scores=name("scores", needed=True),
                scores_are=table.choice("scores_are", ScoresAre, default=ScoresAre.PROBABILITIES),
                embedding=name("embedding", needed=False),
                value=name("value", needed=False),
            )
        case TaskKind.DETECT:
            outputs = Outputs(
                boxes=name("boxes", needed=True),
                classes=name("classes", needed=True),
                scores=name("scores", needed=True),
                count=name("count", needed=False),
                embedding=name("embedding", needed=False),
            )
        case TaskKind.SCALAR:
            outputs = Outputs(value=name("value", needed=True), embedding=name("embedding", needed=False))
    table.finish(context=f" for a task of kind {kind.value!r}")
    return outputs


def _policy(table: Table, kind: TaskKind, outputs: Outputs) -> PolicySpec:
    score = table.choice("score", ScoreKind, default=ScoreKind.MAX_PROBABILITY, required=True)
    threshold = table.number("threshold", allow_infinite=True)
    temperature = table.number("temperature", 1.0)
    box_threshold = table.number("box_threshold", 0.5)
    if table.has("score") and score not in SCORES_OF[kind]:
        table.problem("score", score.value, f"{choices(SCORES_OF[kind])} for a task of kind {kind.value!r}")
    if score is ScoreKind.SCALAR and kind is TaskKind.CLASSIFY and outputs.value is None:
        table.problem("score", score.value, "outputs.value naming the tensor that holds the score")
    if temperature <= 0.0:
        table.problem("temperature", temperature, "a number above 0")
    if table.has("box_threshold") and kind is not TaskKind.DETECT:
        table.problem("box_threshold", box_threshold, "no such key unless task.kind is 'detect'")
    table.finish()
    return PolicySpec(score, threshold, temperature, box_threshold)


def _cross_check(manifest: Manifest) -> list[str]:
    """What can be wrong between the parts of a manifest whose parts are right."""
    problems: list[str] = []
    sources = {canonical.name: canonical for canonical in manifest.canonical}
    if len(sources) != len(manifest.canonical):
        problems.append("canonical.name: two tensors have the same name; allowed: names that differ")
    if len({recipe.tensor for recipe in manifest.inputs}) != len(manifest.inputs):
        problems.append("inputs.tensor: two inputs have the same tensor; allowed: one for each input tensor")
    used = {recipe.source for recipe in manifest.inputs}
    for index, recipe in enumerate(manifest.inputs):
        canonical = sources.get(recipe.source)
        if canonical is None:
            names = choices(sources)
            problems.append(f"inputs[{index}].from = {recipe.source!r}: no such canonical tensor; allowed: {names}")
            continue
        problems.extend(_recipe_problems(f"inputs[{index}]", recipe, canonical))
    problems.extend(
        f"canonical.name = {name!r}: no input is made from it; allowed: names that an inputs.from uses"
        for name in sources
        if name not in used
    )
    return problems


def _recipe_problems(path: str, recipe: InputRecipe, canonical: Canonical) -> list[str]:
    problems: list[str] = []
    if canonical.encoded:
        if recipe.resize is None:
            problems.append(f"{path}.resize: missing; images come in any size; allowed: {{ height, width, ... }}")
        if recipe.colour is None:
            problems.append(f"{path}.colour: missing; allowed: {choices(Colour)} for an encoded image")
        return problems
    if recipe.colour is not None:
        problems.append(f"{path}.colour = {recipe.colour.value!r}: allowed only for an encoded image")
    if recipe.resize is not None and len(canonical.shape) != 3:
        problems.append(
            f"{path}.resize: {canonical.name!r} has shape {list(canonical.shape)}; allowed: [height, width, channels]"
        )
    if recipe.layout is Layout.NCHW and len(canonical.shape) != 3:
        problems.append(
            f"{path}.layout = 'NCHW': {canonical.name!r} has shape {list(canonical.shape)};"
            " allowed: [height, width, channels]"
        )
    return problems
