"""What the demo shows: the live table, the summary in words, and what to try while it stays up."""

import webbrowser
from collections.abc import Mapping, Sequence

from PIL import Image
from rich.console import Console, Group, RenderableType
from rich.table import Table

from demo.calibrating import Certified
from demo.control import ControlPlane
from demo.digits import CACHE, Digits
from demo.drift import TURN_DEGREES
from demo.drifting import AUDITS_RATE
from demo.mesh import TIERS, Mesh
from demo.rollouts import RolloutStory
from demo.tally import Tally


def live(tally: Tally, total: int, seconds: float, notes: Sequence[str], story: RolloutStory | None) -> RenderableType:
    """The table as it is now; `total` is how many questions are asked at least."""
    table = _answers(tally, total, seconds, notes)
    return table if story is None else Group(table, _rollout(tally, story))


def _answers(tally: Tally, total: int, seconds: float, notes: Sequence[str]) -> Table:
    rate = tally.asked / seconds if seconds else 0.0
    of = f"of {total:,} digits" if tally.asked <= total else f"questions about {total:,} digits"
    title = f"{tally.asked:,} {of}, {rate:,.0f}/s, accuracy {tally.accuracy():.2%}, failed {tally.failed}"
    table = Table(title=title, caption="\n".join(notes) or None, title_justify="left")
    for name in ("answered by", "questions", "share", "right", "p50 ms", "p99 ms"):
        table.add_column(name, justify="left" if name == "answered by" else "right")
    for tier in TIERS:
        count = tally.by_tier[tier]
        table.add_row(
            tier,
            f"{count:,}",
            f"{count / max(1, tally.answers):.1%}",
            f"{tally.right_by_tier[tier] / count:.2%}" if count else "-",
            f"{tally.percentile_ms(50, tier):.2f}",
            f"{tally.percentile_ms(99, tier):.2f}",
        )
    return table


def _rollout(tally: Tally, story: RolloutStory) -> Table:
    caption = "\n".join(story.notes) or None
    table = Table(
        title=story.headline or "no rollout yet", caption=caption, title_justify="left", caption_justify="left"
    )
    for name in ("device", "answers with", "rows since", "go up", "mesh right", "on its way"):
        table.add_column(name, justify="right" if name in ("rows since", "go up", "mesh right") else "left")
    for row in story.devices:
        answered = tally.by_version[row.version]
        right = f"{tally.right_by_version[row.version] / answered:.2%}" if answered else "-"
        table.add_row(row.agent, row.version, f"{row.rows:,}", f"{row.escalated:.1%}", right, row.coming)
    return table


def certified_in_words(certified: Certified) -> str:
    """What is certain of the policies that the agents run."""
    return (
        f"certified in {certified.seconds:.1f} s, {certified.confidence:.0%} sure: at most {certified.max_loss:.1%} of "
        f"answers are not the cloud's. Of {certified.questions:,} digits that nothing was chosen on, "
        f"{certified.losses} were not, and {certified.local_share:.1%} ended on the device or the far edge."
    )


def summary_in_words(console: Console, tally: Tally, summary: Mapping[str, object]) -> None:
    """Prints the summary."""
    accuracy, traces = summary["accuracy"], summary["traces"]
    certificate, realised = summary["certificate"], summary["realised"]
    up, every = summary["bytes_up_per_question"], summary["bytes_send_all"]
    assert isinstance(accuracy, dict)  # noqa: S101 - narrows what summary() has just made
    assert isinstance(traces, dict)  # noqa: S101 - likewise
    assert isinstance(certificate, dict)  # noqa: S101 - likewise
    assert isinstance(realised, dict)  # noqa: S101 - likewise
    own = ", ".join(f"{name} {share:.2%}" for name, share in accuracy.items() if name != "cascade")
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in tally.reasons.most_common())
    lines = [
        f"accuracy   {accuracy['cascade']:.2%} as a mesh; alone: {own or 'not asked'}",
        f"loss       {realised['loss']:.2%} of answers are not the cloud's, {certificate['max_loss']:.1%} are allowed; "
        f"asking the cloud each time would have made {realised['accuracy_lost'] * 100:+.2f} points of accuracy",
        f"local      {summary['local_share']:.1%} answered on the device or the far edge",
        f"bytes up   {up} a question over all hops, {summary['audits']} audits included; {every} if each were sent to "
        f"the cloud: {summary['bytes_saved']:.1%} saved",
        f"latency    p50 {tally.percentile_ms(50):.2f} ms, p99 {tally.percentile_ms(99):.2f} ms, as the caller saw it",
        f"why ended  {reasons}",
        f"marked     unresolved {tally.unresolved}, degraded {tally.degraded}, failed {tally.failed}",
        f"traces     {traces['complete']} of {traces['sampled']} complete over all hops",
    ]
    rollout = summary["rollout"]
    if isinstance(rollout, dict):
        ratio = rollout["delta_ratio"]
        delta = f"a delta of {ratio:.1%} of the model file" if ratio is not None else "no delta"
        lines.append(
            f"rollout    {rollout['state']}, {rollout['failed_requests']} questions failed. {rollout['reason']}"
        )
        lines.append(
            f"fetched    {rollout['bytes_from_control_plane']:,} bytes from the control plane and "
            f"{rollout['bytes_from_agents']:,} from agent to agent; {delta}"
        )
    drift = summary["drift"]
    if isinstance(drift, dict):
        back = "came back under" if drift["returned"] else "did not come back under"
        lines.append(
            f"drift      {len(drift['alarms'])} alarms; the loss {back} its target. "
            f"{AUDITS_RATE:.0%} of questions are audited here, so that it takes seconds; usual are 2 %"
        )
    if tally.failures:
        lines.append(f"errors     {dict(tally.failures)}")
    console.print("", *lines, sep="\n", highlight=False, soft_wrap=True)
    if isinstance(drift, dict):
        console.print(_phases(drift["phases"]))


def _phases(phases: Sequence[Mapping[str, object]]) -> Table:
    table = Table(title=f"half-way the digits are turned by {TURN_DEGREES:.0f}° and noisy", title_justify="left")
    for name in ("phase", "questions", "local", "loss"):
        table.add_column(name, justify="left" if name == "phase" else "right")
    for phase in phases:
        table.add_row(
            str(phase["name"]), f"{phase['questions']:,}", f"{phase['local_share']:.1%}", f"{phase['loss']:.2%}"
        )
    return table


def what_to_try(console: Console, mesh: Mesh, control: ControlPlane, digits: Digits, consul: str | None) -> None:
    """Prints commands for playing; `consul` is its address where there is one."""
    pictures = CACHE.parent / "demo"
    pictures.mkdir(parents=True, exist_ok=True)
    for index in range(min(10, len(digits))):
        Image.fromarray(digits.images[index, :, :, 0]).save(pictures / f"digit-{index}.png")
    device = mesh.first("device").address
    lines = ["", "See it in a browser (the link logs in):", f"  {control.login()}", ""]
    lines += ["The agents and the control plane stay up; Ctrl-C ends them. Try, in another terminal:"]
    lines.append(f"  .venv/bin/upriver infer digits {pictures}/*.png --agent {device}")
    lines.append(f"  .venv/bin/upriver infer digits {pictures}/digit-8.png --agent {device} --mode top")
    lines.append(f"  .venv/bin/upriver tickets list --agent {device}")
    lines += [f"  .venv/bin/upriver {what} {control.access}" for what in ("top", "trace last", "why last")]
    lines += [f"  .venv/bin/upriver {what} list {control.access}" for what in ("model", "fleet", "policy", "rollout")]
    if consul:
        lines.append(f"  .venv/bin/upriver agents --consul {consul}")
    places = [(agent.name, agent.address, agent.program) for agent in mesh.agents.values()]
    for name, address, program in [*places, ("control plane", control.address, control.program)]:
        lines.append(f"  {name:<13} {address:<18} log {program.log}")
    console.print("\n".join(lines), highlight=False, soft_wrap=True)


def open_browser(link: str, console: Console) -> None:
    """Opens a browser with the console, and says so where there is none to open."""
    if not webbrowser.open(link):
        console.print("[yellow]no browser could be opened here: follow the link above[/yellow]")
