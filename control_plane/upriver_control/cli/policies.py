"""`upriver policy`: says how much may be lost, gets policies with the proof attached, and rolls them out."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from upriver.cli.tables import print_table
from upriver.errors import ConfigError
from upriver.v1 import policy_pb2 as pb
from upriver_control.cli import policy_options as parts
from upriver_control.cli import policy_results, rollout_options
from upriver_control.cli.calibrating import (
    SERVICE,
    Watch,
    bring,
    contract_of,
    create,
    finished,
    recertify,
    roll_out,
)
from upriver_control.cli.connection import DEFAULT, AsJson, Ca, Connection, ControlPlane, TokenFile
from upriver_control.cli.policy_documents import calibration_document, policy_document
from upriver_control.cli.policy_publishing import publish_command
from upriver_control.cli.policy_results import Plot, draw, show, terminal
from upriver_control.cli.policy_views import policy_table, policy_view
from upriver_control.telling.strategies import RINGS, SOAK, read_rings, read_span

app = typer.Typer(
    name="policy",
    help="Certified policies: how much may be lost, and as much as possible answered near.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)
app.command("publish")(publish_command)
Model = Annotated[str, typer.Argument(metavar="MODEL", help="The model's name.")]
RollOut = Annotated[bool, typer.Option("--rollout", help="Start a rollout for each tier with its new policy.")]
Rings = Annotated[str, typer.Option("--rings", metavar="SIZES", help="With --rollout: agents in all, ring by ring.")]
Soak = Annotated[str, typer.Option("--soak", metavar="TIME", help="With --rollout: how long a ring is watched.")]


@app.command("calibrate")
def calibrate_command(
    model: Model,
    data: Annotated[
        str,
        typer.Option(
            metavar="PATH|audits",
            help="A folder of .npz files, of images or of Parquet; one such file; or `audits` of what runs.",
        ),
    ],
    max_loss: Annotated[
        str, typer.Option(metavar="SHARE", help="Lose at most this share of questions against the top: 0.5%.")
    ],
    confidence: Annotated[str, typer.Option(metavar="SHARE", help="How certain that is to be.")] = "95%",
    cost: Annotated[str, typer.Option(metavar="ms|bytes", help="What is to be spent as little of as possible.")] = "ms",
    form: Annotated[
        str, typer.Option(metavar="per-tier|joint", help="A certificate for each pair, or one for exactly these pairs.")
    ] = "per-tier",
    labels: Annotated[
        bool, typer.Option("--labels", help="A loss is to be wrong where the top is right, by the data's labels.")
    ] = False,
    tier: Annotated[
        list[str] | None,
        typer.Option(metavar="TIER=VERSION", help="A tier and its version, lowest first; else what the fleet runs."),
    ] = None,
    hop_ms: Annotated[
        list[str] | None, typer.Option(metavar="TIER=MS", help="The time of the hop up to a tier.")
    ] = None,
    cost_of: Annotated[
        list[str] | None, typer.Option(metavar="TIER=X", help="What asking a tier costs, instead of what was measured.")
    ] = None,
    agreement: Annotated[
        str,
        typer.Option(metavar="NAME", help="same_label, top_k:k=3, boxes_f1:iou=0.5,f1=0.8, tolerance:relative=0.1"),
    ] = "",
    tune_share: Annotated[str, typer.Option(metavar="SHARE", help="The part that scores are tuned on.")] = "50%",
    seed: Annotated[int, typer.Option(metavar="N", help="Decides by chance which questions tune.")] = 0,
    age: Annotated[str, typer.Option(metavar="TIME", help="With --data audits: those of so long until now.")] = "30d",
    fuse: Annotated[bool, typer.Option("--fuse", help="Let a tier fuse answers from below where that helps.")] = False,
    rollout: RollOut = False,
    rings: Rings = RINGS,
    soak: Soak = SOAK,
    plot: Plot = None,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", min=1.0, help="For the upload.")] = 3600.0,
    request_id: Annotated[str, typer.Option(metavar="ID", help="With the same id again it is the same one.")] = "",
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """Choose thresholds that are proven: "lose at most 0.5 % against asking the top for everything, 95 % certain".

    The data is as callers send it: arrays or columns named as the model's inputs, rows first, and `label` where there
    are labels; or images, in a folder for each label. The control plane has every tier answer it, chooses on one half
    and certifies on the other. Too little data is an answer: every tier then always escalates, and it says how much is
    missing.

    ```console
    upriver policy calibrate digits --data holdout/ --max-loss 0.5% --rollout
    upriver policy calibrate digits --data holdout.parquet --max-loss 0.2% --confidence 99% --cost bytes --plot path.svg
    upriver policy calibrate digits --data holdout/ --max-loss 1% --tier device=v3 --tier cloud=@best --hop-ms cloud=40
    upriver policy calibrate digits --data audits --max-loss 0.5% --age 7d
    ```
    """
    model = model.removeprefix("models/")
    spec = pb.CalibrationSpec(
        max_loss=parts.max_loss(max_loss),
        confidence=parts.confidence(confidence),
        form=parts.form(form),
        cost=parts.cost(cost),
        labels=labels,
        tiers=parts.tiers(model, tier or (), hop_ms or (), cost_of or ()),
        seed=seed,
        tune_share=parts.share(tune_share, "--tune-share"),
        agreement=parts.agreement(agreement),
        fuse=fuse,
    )
    drawn, all_rings = parts.plot_file(plot), read_rings(rings)
    soaking = read_span(soak, "--soak")
    watch = Watch(Console(stderr=True, quiet=as_json))
    with Connection(control_plane, token_file, ca) as connection:
        if data == parts.AUDITS:
            spec.audits.age.CopyFrom(parts.age(age))
        else:
            contract = contract_of(connection, model, list(spec.tiers))
            written = bring(connection, model, Path(data), contract, watch, timeout)
            if labels and not written.has_labels:
                raise ConfigError(parts.WHAT, [f"--labels: {data} has no labels; give each question its label"])
            spec.data_digest = written.digest
        made = create(connection, model, spec, request_id)
        _complete(connection, made, watch, as_json, drawn, (all_rings, soaking) if rollout else None)


@app.command("recertify")
def recertify_command(
    model: Model,
    tier: Annotated[str, typer.Option(metavar="TIER", help="Only this one; else every tier below the top.")] = "",
    age: Annotated[str, typer.Option(metavar="TIME", help="Audits of so long until now count.")] = "30d",
    max_loss: Annotated[
        str, typer.Option(metavar="SHARE", help="Else what the pairs' certificates say; a whole, shared by the tiers.")
    ] = "",
    confidence: Annotated[str, typer.Option(metavar="SHARE", help="Likewise.")] = "",
    rollout: RollOut = False,
    rings: Rings = RINGS,
    soak: Soak = SOAK,
    request_id: Annotated[str, typer.Option(metavar="ID", help="With the same id again it is the same one.")] = "",
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """Certify what runs anew, from audits: after an alarm, or when the top has changed. Only thresholds change.

    ```console
    upriver policy recertify digits
    upriver policy recertify digits --tier device --age 7d --rollout
    ```
    """
    all_rings, soaking = read_rings(rings), read_span(soak, "--soak")
    request = pb.RecertifyPolicyRequest(
        parent=f"models/{model.removeprefix('models/')}",
        tier=tier,
        age=parts.age(age),
        max_loss=parts.max_loss(max_loss) if max_loss else 0.0,
        confidence=parts.confidence(confidence) if confidence else 0.0,
        request_id=request_id,
    )
    watch = Watch(Console(stderr=True, quiet=as_json))
    with Connection(control_plane, token_file, ca) as connection:
        made = recertify(connection, request)
        _complete(connection, made, watch, as_json, None, (all_rings, soaking) if rollout else None)


@app.command("show")
def show_command(
    policy: Annotated[
        str, typer.Argument(metavar="POLICY", help="Its name, or at least 6 digits of it; MODEL/POLICY as well.")
    ],
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """Show a policy: its threshold, what is certified, against which top, and whether that still runs.

    ```console
    upriver policy show 6a51cd6258f23e8a
    upriver policy show digits/6a51cd --json | jq .certificate
    ```
    """
    with Connection(control_plane, token_file, ca) as connection:
        request = pb.GetPolicyRequest(name=rollout_options.policy_name(policy))
        found = connection.call(SERVICE, "GetPolicy", request).policy
    if as_json:
        typer.echo(json.dumps(policy_document(found), indent=2))
    else:
        terminal().print(policy_view(found))


@app.command("list")
def list_command(
    model: Annotated[str, typer.Argument(metavar="[MODEL]", help="Only this model's.")] = "",
    limit: Annotated[int, typer.Option("--limit", "-n", metavar="N", help="At most so many.", min=1)] = 20,
    control_plane: ControlPlane = DEFAULT,
    token_file: TokenFile = None,
    ca: Ca = None,
    as_json: AsJson = False,
) -> None:
    """List policies, newest first: what each may lose, who runs it, and why a certificate no longer holds.

    ```console
    upriver policy list digits
    upriver policy list --json | jq '.[] | select(.stale != "") | .name'
    ```
    """
    request = pb.ListPoliciesRequest(parent=f"models/{model.removeprefix('models/') or '-'}")
    with Connection(control_plane, token_file, ca) as connection:
        pages = connection.pages(SERVICE, "ListPolicies", request, "policies", limit)
        found = [policy for page in pages for policy in page.policies]
    if as_json:
        typer.echo(json.dumps([policy_document(policy) for policy in found], indent=2))
    elif found:
        print_table(policy_table(found))
    else:
        typer.echo("no policies yet; make some: upriver policy calibrate MODEL --data PATH --max-loss 0.5%")


app.command("calibrations")(policy_results.calibrations_command)
app.command("result")(policy_results.result_command)
app.command("cancel")(policy_results.cancel_command)


def _complete(
    connection: Connection, made: pb.Calibration, watch: Watch, as_json: bool, plot: Path | None, rollout: Any
) -> None:
    """Waits for a calibration, tells what came out, and starts rollouts if that was asked for."""
    try:
        done = finished(connection, made, watch)
    except KeyboardInterrupt:
        name = made.name.removeprefix("models/").replace("/calibrations", "")
        typer.echo(f"it goes on; see it with: upriver policy result {name}; end it with: upriver policy cancel {name}")
        raise typer.Exit(1) from None
    started = [] if rollout is None else roll_out(connection, done, *rollout)
    if as_json:
        draw(done, plot)
        typer.echo(json.dumps({**calibration_document(done), "rollouts": [one.name for one in started]}, indent=2))
        return
    show(done, as_json, plot)
    for one in started:
        typer.echo(f"started {one.name} for {one.selector}; watch it with: upriver rollout watch {one.name}")
    policies = [tier for tier in done.result.tiers if tier.policy]
    if policies and not started:
        first = policies[0]
        version = first.version.removeprefix("models/").replace("/versions", "")
        digits = first.policy.rpartition("/")[2]
        typer.echo(
            f"roll a pair out with: upriver rollout start {version} --policy {digits} --selector tier={first.tier}"
        )
