"""What asking each tier costs, from each tier below it. Pure."""

import numpy as np

from upriver.scores import Floats
from upriver_control.jobs.model import CostUnit, Spec


def costs(spec: Spec, question_bytes: float) -> Floats:
    """Costs [tiers, tiers]: of asking tier k from tier i below it, in the spec's unit; 0 elsewhere.

    In milliseconds the hops on the way and the time of the model that is asked; in bytes one question, which goes
    straight to the tier that is asked. A tier's own `cost` takes their place.
    """
    count = len(spec.tiers)
    table = np.zeros((count, count))
    for asked in range(1, count):
        tier = spec.tiers[asked]
        for below in range(asked):
            if tier.cost is not None:
                table[below, asked] = tier.cost
            elif spec.cost is CostUnit.BYTES:
                table[below, asked] = question_bytes
            else:
                hops = sum(one.hop_ms for one in spec.tiers[below + 1 : asked + 1])
                table[below, asked] = hops + tier.invoke_ms
    return table
