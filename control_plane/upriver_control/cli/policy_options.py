"""Texts of the command line as parts of a calibration's request."""

import math
from collections.abc import Iterable
from pathlib import Path

from google.protobuf.duration_pb2 import Duration

from upriver.errors import ConfigError, InvalidInput
from upriver.v1 import policy_pb2 as pb
from upriver_control.jobs.wording import read_agreement
from upriver_control.telling.strategies import read_span

WHAT = "upriver policy calibrate"
AUDITS = "audits"
_COSTS = {"ms": pb.COST_UNIT_MS, "bytes": pb.COST_UNIT_BYTES}
_FORMS = {"per-tier": pb.CERTIFICATE_FORM_PER_TIER, "joint": pb.CERTIFICATE_FORM_JOINT}
_MOST_LOST = 0.5


def max_loss(text: str) -> float:
    """`0.5%` or `0.005` as 0.005; raises ConfigError, also for what was surely meant as a percentage."""
    value = _share(text)
    if not 0.0 < value < 1.0:
        raise ConfigError(WHAT, [f"--max-loss {text!r}: expected a share of questions such as 0.5% or 0.005"])
    if value >= _MOST_LOST:
        raise ConfigError(
            WHAT, [f"--max-loss {text!r} is {100 * value:g}% of all questions; expected less than 50%, such as 0.5%"]
        )
    return value


def confidence(text: str) -> float:
    """`95%` or `0.95` as 0.95; raises ConfigError, also for what is no confidence worth its name."""
    value = _share(text)
    if not 0.5 <= value < 1.0:
        raise ConfigError(
            WHAT, [f"--confidence {text!r}: expected a probability from 50% to below 100%, such as 95% or 0.95"]
        )
    return value


def share(text: str, option: str) -> float:
    """`50%` or `0.5` as 0.5; raises ConfigError."""
    value = _share(text)
    if not 0.0 < value < 1.0:
        raise ConfigError(WHAT, [f"{option} {text!r}: expected a share above 0% and below 100%"])
    return value


def form(text: str) -> pb.CertificateForm:
    """`per-tier` or `joint`; raises ConfigError."""
    if text not in _FORMS:
        raise ConfigError(WHAT, [f"--form {text!r}: expected per-tier or joint"])
    return _FORMS[text]


def cost(text: str) -> pb.CostUnit:
    """`ms` or `bytes`; raises ConfigError."""
    if text not in _COSTS:
        raise ConfigError(WHAT, [f"--cost {text!r}: expected ms or bytes"])
    return _COSTS[text]


def agreement(text: str) -> str:
    """An agreement as it was given; raises ConfigError where there is none such."""
    if text:
        try:
            read_agreement(text)
        except InvalidInput as error:
            raise ConfigError(WHAT, [f"--agreement: {error}"]) from error
    return text


def tiers(model: str, versions: Iterable[str], hops: Iterable[str], costs: Iterable[str]) -> list[pb.CalibrationTier]:
    """Tiers with what was said of each, in the order in which versions were given; raises ConfigError."""
    found: dict[str, pb.CalibrationTier] = {}
    for text in versions:
        tier, version = _pair(text, "--tier", "TIER=VERSION")
        if tier in found:
            raise ConfigError(WHAT, [f"--tier {text!r}: {tier} was given before"])
        found[tier] = pb.CalibrationTier(tier=tier, version=_version(model, version))
    named = bool(found)
    for option, texts, name in (("--hop-ms", hops, "hop_ms"), ("--cost-of", costs, "cost")):
        for text in texts:
            tier, value = _pair(text, option, "TIER=NUMBER")
            if named and tier not in found:
                raise ConfigError(
                    WHAT, [f"{option} {text!r}: no --tier {tier} was given; given were {', '.join(found)}"]
                )
            setattr(found.setdefault(tier, pb.CalibrationTier(tier=tier)), name, _number(value, option, text))
    return list(found.values())


def age(text: str, option: str = "--age") -> Duration:
    """`30d`, `12h` as a Duration; raises ConfigError."""
    return read_span(text, option)


def plot_file(path: Path | None) -> Path | None:
    """Where a plot is to go; raises ConfigError unless it is a name for SVG."""
    if path is not None and path.suffix.lower() != ".svg":
        raise ConfigError(WHAT, [f"--plot {str(path)!r}: expected a name that ends in .svg"])
    return path


def calibration_name(text: str) -> str:
    """`MODEL/CALIBRATION` or a resource name, as the latter; raises ConfigError."""
    if text.startswith("models/"):
        return text
    model, slash, calibration = text.partition("/")
    if not slash or not model or not calibration:
        raise ConfigError(WHAT, [f"calibration {text!r}: expected MODEL/CALIBRATION, as calibrate prints it"])
    return f"models/{model}/calibrations/{calibration}"


def _share(text: str) -> float:
    try:
        return float(f"{text[:-1]}e-2" if text.endswith("%") else text)  # exact, as a division is not
    except ValueError:
        return math.nan


def _pair(text: str, option: str, expected: str) -> tuple[str, str]:
    tier, equals, value = text.partition("=")
    if not equals or not tier or not value:
        raise ConfigError(WHAT, [f"{option} {text!r}: expected {expected}"])
    return tier, value


def _version(model: str, text: str) -> str:
    """`digits/v3`, `digits@champion`, `v3` and `@champion` as resource names."""
    if text.startswith("models/"):
        return text
    of, at, alias = text.partition("@")
    if at:
        return f"models/{of.rstrip('/') or model}/versions/@{alias}"
    of, slash, version = text.rpartition("/")
    return f"models/{of if slash else model}/versions/{version}"


def _number(text: str, option: str, given: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= value < math.inf:
        raise ConfigError(WHAT, [f"{option} {given!r}: expected a number, 0 or above"])
    return value
