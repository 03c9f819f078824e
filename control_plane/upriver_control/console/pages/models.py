"""Models, and what is under way with each."""

import asyncio
from typing import Final

from upriver.v1 import registry_pb2, rollout_pb2
from upriver_control.console import words
from upriver_control.console.drawing.svg import Markup, join, tag
from upriver_control.console.drawing.table import Column, Row, table
from upriver_control.console.feeds import Feed, polled
from upriver_control.console.site import Site, when_changed
from upriver_control.telling import rollouts as telling

_EVERY_S: Final = 1.0
Listed = tuple[registry_pb2.ListModelsResponse, rollout_pb2.ListRolloutsResponse]


def add(site: Site) -> None:
    """Registers `/models`."""

    async def fetch() -> Listed:
        models = site.remote.registry.ListModels(registry_pb2.ListModelsRequest(page_size=1000))
        rollouts = site.remote.rollouts.ListRollouts(rollout_pb2.ListRolloutsRequest(page_size=200))
        told = await asyncio.gather(models, rollouts)
        return told[0], told[1]

    @site.page("/models")
    async def models() -> None:
        feed = site.feed("models", lambda: Feed(lambda: polled(fetch, _EVERY_S)))
        with site.frame("Models", "/models") as frame:
            part = frame.part(tag("p", {"class": "quiet"}, "No news of models yet."), "card")
            await frame.live(feed, when_changed(lambda told: part.set(draw(told))))


def draw(listed: Listed) -> Markup:
    """All models by name; of each, its rollouts that are under way."""
    models, rollouts = listed
    if not models.models:
        return words.nothing("No model yet.", "upriver model publish FOLDER", "Publishing a version makes its model.")
    going = [one for one in rollouts.rollouts if telling.state_name(one) not in telling.ENDED]
    rows = [_row(model, [one for one in going if _model(one) == _short(model)]) for model in models.models]
    columns = (Column("Model"), Column("Called"), Column("Under way"), Column("For", narrow=False))
    many = "1 model" if len(rows) == 1 else f"{len(rows)} models by name"
    return table(f"{many}, with rollouts that are under way now", columns, rows)


def _row(model: registry_pb2.Model, going: list[rollout_pb2.Rollout]) -> Row:
    called = join(
        *(words.chip(f"@{alias} {version.rpartition('/')[2]}") for alias, version in sorted(model.aliases.items()))
    )
    under_way = [tag("div", None, _told(one)) for one in going]
    cells = (_short(model), called, join(*under_way) if under_way else "nothing", model.description)
    return Row(cells, model.name, f"/models/{_short(model)}")


def _told(rollout: rollout_pb2.Rollout) -> str:
    agents, active = sum(one.agents for one in rollout.rings), sum(one.active for one in rollout.rings)
    ring = f"ring {rollout.ring + 1} of {max(1, len(rollout.strategy.rings))}"
    what = f"{rollout.pair.version.rpartition('/')[2]} to {rollout.selector or 'all'}"
    return f"{what}: {telling.state_name(rollout)}, {ring}, {active:,} of {agents:,} run it"


def _short(model: registry_pb2.Model) -> str:
    return model.name.removeprefix("models/")


def _model(rollout: rollout_pb2.Rollout) -> str:
    return rollout.pair.version.removeprefix("models/").partition("/")[0]
