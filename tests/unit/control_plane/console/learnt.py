"""What the services say of learning, made by hand for the tests of its page."""

import math

import numpy as np

from upriver import parameters as names
from upriver.policies import PolicyDocument, certify, write_policy
from upriver.scores import ScoreKind
from upriver.v1 import fleet_pb2, inbox_pb2, mesh_pb2, region_pb2, sync_pb2, ticket_pb2, train_pb2
from upriver_control.calling.pictures import png

LABELS = tuple(f"class-{index}" for index in range(10))
VERSION = "sha256:" + "b" * 64
HEAD = "sha256:" + "d" * 64


def open_ticket(number, labels=LABELS, agent="device-1", model="pattern", problem="", asked_s=1_790_000_000):
    made = inbox_pb2.OpenTicket(agent=agent, labels=labels, input_problem=problem)
    ticket = made.ticket
    ticket.name, ticket.model, ticket.state = f"tickets/q-{number:016x}", model, ticket_pb2.TICKET_STATE_OPEN
    ticket.waiting, ticket.trace = ticket_pb2.TICKET_WAITING_MODEL, f"{number + 1:032x}"
    ticket.create_time.FromSeconds(asked_s)
    ticket.expire_time.FromSeconds(asked_s + 86_400)
    scores = np.full(max(1, len(labels)), 0.05, np.float32)
    scores[number % len(scores)] = 0.41
    output = ticket.guess.outputs.add(name="probabilities", datatype="FP32", shape=[1, len(scores)])
    output.parameters[names.SCORES_ARE].string_param = "probabilities"
    if labels:
        output.parameters[names.LABELS].string_param = ",".join(labels)
    ticket.guess.raw_output_contents.append(scores.tobytes())
    ticket.guess.parameters[names.CONFIDENCE].double_param = 0.41
    if not problem:
        made.png = png(np.random.default_rng(number).integers(0, 256, (14, 14, 1), np.uint8))
    return made


def rates(now, request):
    """Two regions: one learns, one hardly."""
    step = request.step.seconds or 60
    told = mesh_pb2.ListRatesResponse()
    begin = request.from_time.seconds
    steps = max(1, int((now - begin) / step))
    for place in range(steps):
        for region, fall in (("eu", 3.0), ("us", 0.3)):
            share = 0.62 * math.exp(-fall * place / steps)
            rate = told.rates.add(region=region, model="pattern", version=VERSION, rows=200)
            rate.time.FromSeconds(begin + place * step)
            rate.escalated_rows, rate.lessons = round(200 * share), round(420 * (1 - math.exp(-fall * place / steps)))
    return told


def region_head(now, state="passed", **more):
    made = region_pb2.RegionHead(
        **{
            "model": "models/pattern", "version": "models/pattern/versions/v1", "region": "eu", "scope": "region",
            "head_digest": HEAD, "state": state, "lessons": 212.0, "agents": 4, "epsilon": 0.02, "delta": 0.025,
            "attempt": 2, "questions": 412, "counted_by": 4, "losses": 3, "coverage": 0.83, "gained": 64, "given_up": 2,
            **more,
        }
    )  # fmt: skip
    made.create_time.FromSeconds(int(now) - 1500)
    return made


def heads(now):
    failed = region_head(now, "failed", region="us", reason="3 losses more than it may have", losses=14)
    trying = region_head(now, "open", region="us", scope="global", attempt=0)
    return region_pb2.ListRegionHeadsResponse(heads=[trying, failed, region_head(now)])


def pooled():
    made = {"model": "models/pattern", "version_digest": VERSION, "region": "eu", "agents": 4, "lessons": 212.4}
    first = region_pb2.RegionSummary(**made, attempts=7, head_digest=HEAD, scope="region")
    second = region_pb2.RegionSummary(**made | {"region": "us", "lessons": 40.0}, attempts=2)
    return region_pb2.ListRegionsResponse(regions=[second, first])


def refined(now):
    policy = certify(
        PolicyDocument(VERSION, ScoreKind.MAX_PROBABILITY, 0.7, head=HEAD),
        epsilon=0.02, delta=0.05, questions=318, losses=2, coverage=0.71, top="sha256:" + "c" * 64,
        data="sha256:" + "e" * 64,
    )  # fmt: skip
    made = sync_pb2.Refined(policy_document=write_policy(policy), lessons=96, attempt=1)
    made.since_time.FromSeconds(int(now) - 700)
    return made


def agents(now):
    first = fleet_pb2.Agent(name="agents/device-1", region="eu", tier="device")
    first.slots.add(model="pattern").reported.refined.CopyFrom(refined(now))
    second = fleet_pb2.Agent(name="agents/device-2", region="us", tier="device")
    second.slots.add(model="pattern").reported.unrefined = "its audits have rung the alarm"
    return fleet_pb2.ListAgentsResponse(agents=[first, second], total_size=2)


def lessons(labels=LABELS):
    told = train_pb2.SummarizeLessonsResponse(url="file:///lessons")
    for day, region, scale in (("2026-11-24", "eu", 9), ("2026-11-25", "eu", 5), ("2026-11-25", "us", 2)):
        counts = {label: scale * (1 + place * 3 % 7) for place, label in enumerate(labels)}
        told.summaries.add(
            region=region, date=day, lessons=sum(counts.values()), files=2, size_bytes=80_000, labels=counts
        )
    return told


def trainings(now):
    told = train_pb2.ListTrainingsResponse()
    for number, (state, more) in enumerate(
        (
            (train_pb2.TRAINING_STATE_RUNNING, {"doing": "epoch 3 of 5", "progress": 0.6}),
            (train_pb2.TRAINING_STATE_FAILED, {"reason": "its process ended with exit status 7"}),
            (train_pb2.TRAINING_STATE_SUCCEEDED, {"trigger": "412 new lessons"}),
        )
    ):
        made = told.trainings.add(name=f"models/pattern/trainings/t{number}", state=state, **more)
        made.spec.base_version, made.spec.region = "models/pattern/versions/v1", "eu" if number else ""
        made.create_time.FromSeconds(int(now) - 100 - 4000 * number)
    return told
