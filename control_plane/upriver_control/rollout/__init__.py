"""Rollouts decide which agents move to a pair, and when they must go back. Pure: the clock and all reports come in."""

from upriver_control.rollout.lifecycle import Action, actions, cancel, pause, resume, roll_back, supersede
from upriver_control.rollout.model import (
    Baseline,
    Gates,
    RevisionConflict,
    Ring,
    RingStatus,
    Rollout,
    RolloutState,
    Strategy,
    Wave,
    position,
)
from upriver_control.rollout.stepping import Command, Finish, Release, Withdraw, step

__all__ = [
    "Action",
    "Baseline",
    "Command",
    "Finish",
    "Gates",
    "Release",
    "RevisionConflict",
    "Ring",
    "RingStatus",
    "Rollout",
    "RolloutState",
    "Strategy",
    "Wave",
    "Withdraw",
    "actions",
    "cancel",
    "pause",
    "position",
    "resume",
    "roll_back",
    "step",
    "supersede",
]
