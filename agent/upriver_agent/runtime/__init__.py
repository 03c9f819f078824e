"""Runtimes that execute TFLite models, behind one port."""

from upriver_agent.runtime.opening import RuntimeKind, open_runtime
from upriver_agent.runtime.port import Array, Runtime, TensorInfo

__all__ = ["Array", "Runtime", "RuntimeKind", "TensorInfo", "open_runtime"]
