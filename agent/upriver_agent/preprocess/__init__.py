"""From what callers send to the input tensors of one version."""

from upriver_agent.preprocess.plan import Step, make_plan

__all__ = ["Step", "make_plan"]
