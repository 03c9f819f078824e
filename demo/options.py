"""The demo's options."""

import argparse
from dataclasses import dataclass
from pathlib import Path

from demo.candidates import BETTER, WORSE
from demo.mesh import TIERS
from demo.rollouts import DEVICES, LIMIT_S

_EPILOG = (
    "The exit status is 0 when no question failed, a rollout, if any, ended as it was to and all devices run what "
    "they should then, and after a drift, if any, an alarm rang and the loss came back under its target. The JSON's "
    "`certificate` is what was proven before the first question, `realised` what became of it: the loss (the share of "
    "answers that are not the cloud's) and the accuracy lost by not asking the cloud each time. `rollout` is null "
    "without one. With one it has state, rings (agents, active, failed, offline of each), failed_requests (of the "
    "questions asked from before its publication to its end), rolled_back, reason, bytes_from_control_plane and "
    "bytes_from_agents (of blobs, received by agents of "
    "all tiers meanwhile; at every hop of a relay), and delta_ratio (what a device received of the model's file, "
    "as a share of it; null when no delta was used). `drift` is null without one; with one it has start (the first "
    "question that drifted), phases (name, questions, local_share, loss of each), alarms (agent, questions, after, "
    "audits, disagreements of each) and returned. With --learn the JSON is another: `regions` (of "
    "each questions, failed, lessons, escalation_start, escalation by part of the run, half_life_lessons, "
    "accuracy_known_first_half and _second_half, certified, promotions and points), `merged` (what became of regions' "
    "heads, in words) and `retrained`, null when no whole model was trained."
)


RATE, MOST_RATE = 2.0, 100.0
MOST, MOST_LEARNING, USUAL_LEARNING = 10_000, 20_000, 8_000


@dataclass(frozen=True)
class Kill:
    """End an agent by kill -9 so many seconds into the questions."""

    tier: str
    after_s: float


def parse_kill(text: str) -> Kill:
    """Reads `near-edge@3s`."""
    tier, at, when = text.partition("@")
    try:
        after_s = float(when.removesuffix("s"))
    except ValueError:
        after_s = -1.0
    if not at or tier not in TIERS[1:] or not 0 <= after_s < 3600:
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected TIER@SECONDS, such as near-edge@3s, with a tier of {', '.join(TIERS[1:])}"
        )
    return Kill(tier, after_s)


def parse_delays(text: str) -> tuple[float, ...]:
    """Reads `5,15,40`: milliseconds added to each of the three hops."""
    try:
        delays = tuple(float(part) for part in text.split(","))
    except ValueError:
        delays = ()
    if len(delays) != len(TIERS) - 1 or not all(0 <= delay <= 10_000 for delay in delays):
        raise argparse.ArgumentTypeError(f"{text!r}: expected three delays in ms, such as 5,15,40, each 0 to 10000")
    return delays


def parse_rate(text: str) -> float:
    """Reads `2`: questions a second while the demo stays up, 0 for none."""
    try:
        rate = float(text)
    except ValueError:
        rate = -1.0
    if not 0 <= rate <= MOST_RATE:
        raise argparse.ArgumentTypeError(f"{text!r}: expected 0 to {MOST_RATE:g} questions a second")
    return rate


def read_options() -> argparse.Namespace:
    """Reads the command line; ends the process when it is wrong."""
    parser = argparse.ArgumentParser(
        prog="scripts/demo",
        description="Agents (device, far edge, near edge, cloud) join a control plane, are sent their models by it, "
        "and answer 10,000 real handwritten digits. Every question goes to a device; what a tier is not sure of goes "
        "up. Stays up for playing and asks a little more, to be looked at in a browser; Ctrl-C ends it all.",
        epilog=_EPILOG,
    )
    parser.add_argument("--once", action="store_true", help="end after the summary")
    parser.add_argument(
        "--questions", type=int, metavar="N", help="use only the first N digits; with --learn, so many in each region"
    )
    parser.add_argument("--consul", action="store_true", help="let the agents find each other through a real Consul")
    parser.add_argument(
        "--hop-delay", type=parse_delays, default=(0.0, 0.0, 0.0), metavar="MS,MS,MS", help="delay each hop, in ms"
    )
    parser.add_argument("--kill", type=parse_kill, metavar="TIER@SECONDS", help="kill -9 an agent in the middle")
    more = (
        f"in the middle of the stream, over {DEVICES} devices in three rings. Digits are asked over and over until it "
        f"has ended, at most {LIMIT_S:.0f} s."
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--rollout", dest="candidate", action="store_const", const=BETTER, help=f"roll out a better device model {more}"
    )
    which.add_argument(
        "--bad-rollout",
        dest="candidate",
        action="store_const",
        const=WORSE,
        help="the same with a worse one, which the control plane rolls back by itself",
    )
    which.add_argument(
        "--drift",
        action="store_true",
        help="turn the digits half-way and add noise: audits ring the alarm, and what is in doubt goes up",
    )
    which.add_argument(
        "--learn",
        action="store_true",
        help="another mesh: devices of two regions that know the digits 0 to 4 learn others from what they ask above",
    )
    parser.add_argument("--no-retrain", action="store_true", help="with --learn: train no whole model in the end")
    parser.add_argument(
        "--rate", type=parse_rate, metavar="N", help=f"questions a second afterwards, {RATE:g} by itself"
    )
    parser.add_argument("--open", action="store_true", help="open a browser with the console afterwards")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the summary as JSON")
    arguments = parser.parse_args()
    most = MOST_LEARNING if arguments.learn else MOST
    if arguments.questions is None:
        arguments.questions = USUAL_LEARNING if arguments.learn else MOST
    if not 1 <= arguments.questions <= most:
        parser.error(f"--questions {arguments.questions}: expected 1 to {most}")
    if arguments.rate is not None and arguments.once:
        parser.error("--rate: expected without --once, after which nothing is asked")
    if arguments.rate is None:
        arguments.rate = RATE
    if arguments.open and arguments.once:
        parser.error("--open: expected without --once, which leaves nothing to look at")
    if arguments.no_retrain and not arguments.learn:
        parser.error("--no-retrain: expected together with --learn")
    if arguments.learn and (arguments.consul or arguments.kill or any(arguments.hop_delay)):
        parser.error("--learn starts a mesh of its own: expected none of --consul, --kill and --hop-delay")
    return arguments
