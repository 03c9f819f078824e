"""The pages of models: what is drawn of rollouts, versions and their comparison."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from upriver.errors import ConfigError
from upriver.v1 import audit_pb2, mesh_pb2, registry_pb2, train_pb2
from upriver.v1 import rollout_pb2 as pb
from upriver_control.console.drawing import comparison, rollout_card, rollout_forms, versions
from upriver_control.console.drawing.comparison import Choice, Counted
from upriver_control.console.model_news import Versions
from upriver_control.console.pages.model import choose, draw_rollouts
from upriver_control.console.pages.models import draw

NAN = math.nan
BAD = "<script>alert(1)</script>"
KNOWN = {"agreement": NAN, "latency_ratio": NAN, "escalation_rate": NAN}


def rollout(state=pb.ROLLOUT_STATE_SOAKING, name="rollouts/digits-1", actions=(1, 3, 4), **more):
    return pb.Rollout(
        name=name,
        pair={"version": "models/digits/versions/7"},
        selector="tier=device",
        strategy={"rings": [{"count": 1}, {"percent": 100}], "failure_limit": 0.1},
        state=state,
        rings=[{"agents": 1, "released": 1, "active": 1, **KNOWN}, {"agents": 11, **KNOWN}],
        actions=actions,
        **more,
    )


def buttons(markup):
    return re.findall(r'data-ask="([A-Z_]+)" data-name="([^"]+)">([^<]+)<', markup)


def test_a_card_offers_what_the_service_says_can_be_asked_and_nothing_else():
    assert buttons(rollout_card.card(rollout())) == [
        ("PAUSE", "rollouts/digits-1", "Pause"),
        ("CANCEL", "rollouts/digits-1", "Cancel"),
        ("ROLL_BACK", "rollouts/digits-1", "Roll back"),
    ]
    assert buttons(rollout_card.card(rollout(actions=()))) == []


def test_a_card_says_its_state_its_rings_and_its_gates_in_words():
    drawn = rollout_card.card(rollout(reason="ring 1 soaks"))
    for words in (
        'data-state="soaking"',
        "ring 1 soaks",
        "Ring 1 of 2 (1) · 1 agent: 1 run it",
        "at most 10 %",
        "0 of 1",
    ):
        assert words in drawn


@given(words=st.text(max_size=40) | st.just(BAD))
def test_whatever_a_rollout_is_called_nothing_of_it_becomes_markup(words):
    made = rollout(reason=words)
    made.selector = made.pair.version = words
    made.rings[0].failures[words] = 2
    for drawn in (rollout_card.card(made), rollout_card.ended([made]), rollout_forms.question(made, 4, [words]).form):
        assert "<script" not in drawn


def test_rollouts_under_way_are_cards_and_the_others_lines_with_the_way_back():
    over = rollout(pb.ROLLOUT_STATE_COMPLETED, "rollouts/digits-0", (4,))
    drawn = draw_rollouts("digits", [rollout(), over])
    assert drawn.count("<section") == 2  # the part, and one card
    assert ("ROLL_BACK", "rollouts/digits-0", "Roll back") in buttons(drawn)
    assert "No rollout is under way" in draw_rollouts("digits", [over])
    assert "upriver rollout start digits/VERSION" in draw_rollouts("digits", [])


def test_a_question_names_what_will_happen_and_on_which_agents():
    asked = rollout_forms.question(rollout(), pb.ROLLOUT_ACTION_ROLL_BACK, [f"agents/d-{n}" for n in range(10)])
    assert "of 12 agents 1 was told to move" in asked.form
    assert "d-0, d-1" in asked.form
    assert "and 2 more" in asked.form
    assert 'name="reason"' in asked.form
    assert ">Roll back rollout</button>" in asked.buttons


def test_a_form_that_is_filled_asks_for_what_it_says():
    made = rollout_forms.wanted("models/digits/versions/7", {"selector": " tier=device ", "policy": "abc"}, "id")
    assert (made.selector, made.policy, made.request_id) == ("tier=device", "models/digits/policies/abc", "id")
    assert [ring.count or ring.percent for ring in made.strategy.rings] == [1, 10, 100]
    with pytest.raises(ConfigError, match="rings: 'x'"):
        rollout_forms.wanted("models/digits/versions/7", {"rings": "x"}, "id")
    assert not made.strategy.gates.HasField("min_agreement")
    gated = {"shadow": "1m", "min_agreement": "95%", "max_latency_ratio": "1.5", "max_escalation_increase": "2%"}
    strategy = rollout_forms.wanted("models/digits/versions/7", gated, "id").strategy
    assert (strategy.activation.shadow_time.seconds, strategy.activation.min_agreement) == (60, 0.95)
    assert (strategy.gates.max_latency_ratio, strategy.gates.max_escalation_increase) == (1.5, 0.02)
    with pytest.raises(ConfigError, match="highest p95: 'nan'"):
        rollout_forms.wanted("models/digits/versions/7", {"max_latency_ratio": "nan"}, "id")
    told = rollout_forms.foreseen(0, made.strategy)
    assert "0 agents match now" in told
    assert "3 rings (1, then 10%, then all)" in told


def version(name, parent="", **more):
    full = f"models/digits/versions/{name}"
    lineage = {"parent": parent and f"models/digits/versions/{parent}"}
    return registry_pb2.Version(name=full, digest=f"sha256:{name * 64}", lineage=lineage, **more)


def known(*found, before=None):
    return Versions(found, {}, {}, before or {}, frozenset(), 0, 0)


def test_what_is_compared_at_first_is_the_newest_with_its_parent_else_with_what_ran_before_it():
    nothing = Choice("", "", "", "1d")
    both = [version("9", "7"), version("8"), version("7")]
    assert choose(nothing, known(*both)) == Choice("9", "7", "", "1d")
    before = {"models/digits/versions/9": "models/digits/versions/7"}
    assert choose(nothing, known(version("9"), *both[1:], before=before)).second == "7"
    assert choose(nothing, known(version("9"), *both[1:])).second == "8"
    assert choose(Choice("7", "8", "eu", "1h"), known(*both)) == Choice("7", "8", "eu", "1h")
    assert choose(Choice("7", BAD, "", "1d"), known(*both)).second == "9"
    assert choose(nothing, known(version("9"))).second == ""


def test_a_version_says_who_made_it():
    training = train_pb2.Training(spec={"base_version": "models/digits/versions/6"}, result={"lessons": 1200})
    made = version("7", "6")
    assert versions.maker(made, {made.name: training}) == "trained from 6 on 1,200 lessons"
    assert versions.maker(made, {}) == "published, from 6"
    drawn = versions.versions("digits", [made], {}, {made.name: 3})
    assert ("START", made.name, "Roll out…") in buttons(drawn)
    assert "upriver model publish" in versions.versions("digits", [], {}, {})


def rate(name, region, rows, up, at=0):
    return mesh_pb2.Rate(
        time={"seconds": at}, region=region, version=f"sha256:{name * 64}", rows=rows, escalated_rows=up, lessons=1
    )


DIGESTS = {name: f"sha256:{name * 64}" for name in "67"}
COUNTED = Counted(
    [rate("7", "eu", 100, 10), rate("7", "us", 100, 30), rate("6", "eu", 50, 25)],
    [rate("7", "eu", 10, 1, 60), rate("7", "us", 10, 3, 60), rate("6", "eu", 50, 25, 120)],
    [audit_pb2.AuditSummary(version_digest=DIGESTS["7"], audits=50, passed=40, disagreements=2)],
    0.0,
    3600.0,
)


def test_versions_stand_side_by_side_with_what_was_counted_of_each():
    drawn = comparison.draw(Choice("7", "6", "", "1h"), DIGESTS, COUNTED)
    for words in ("200</td>", "40 (20 %)", "25 (50 %)", "2 (5.0 %)", "1970-01-01 00:00:00 UTC", "By region"):
        assert words in drawn
    assert "By region" not in comparison.draw(Choice("7", "6", "eu", "1h"), DIGESTS, COUNTED)


def test_nothing_counted_is_told_instead_of_zeros():
    drawn = comparison.draw(Choice("7", "6", "eu", "1h"), DIGESTS, Counted([], [], [], 0.0, 3600.0))
    assert "Neither 7 nor 6 was asked anything in region eu" in drawn


def test_models_are_listed_with_what_is_under_way():
    models = registry_pb2.ListModelsResponse(models=[{"name": "models/digits"}, {"name": "models/other"}])
    drawn = draw((models, pb.ListRolloutsResponse(rollouts=[rollout()])))
    assert "7 to tier=device: soaking, ring 1 of 2, 1 of 12 run it" in drawn
    assert 'href="/models/other"' in drawn
    assert "upriver model publish" in draw((registry_pb2.ListModelsResponse(), pb.ListRolloutsResponse()))
