"""The function that trains: the one that comes with Upriver, or the user's, called so that whatever it does is told."""

import hashlib
import importlib
import inspect
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from upriver.errors import InvalidInput, ModelInvalid, RuntimeMissing
from upriver_control.convert import is_source
from upriver_control.training.dataset import BaseVersion, Dataset

DEFAULT: Final = "upriver_control.training.fine_tuning:train"
_WANTED: Final = "the path of a SavedModel folder or of a Keras file"


@dataclass(frozen=True, slots=True)
class Code:
    """A function that trains, its name, and the digest of the file that it is in."""

    name: str
    digest: str
    function: Callable[[Dataset, BaseVersion], Any]

    def __call__(self, dataset: Dataset, base: BaseVersion) -> Path:
        """The trained model that it made; raises ModelInvalid with what it did instead."""
        try:
            made = self.function(dataset, base)
        except MemoryError:
            raise
        except Exception as error:  # whatever user code raises is its outcome, which is told
            traceback.print_exc(file=sys.stderr)
            told = str(error).strip().partition("\n")[0][:500]
            raise ModelInvalid(f"{self.name} raised {type(error).__name__}: {told}") from error
        if not isinstance(made, str | Path):
            raise ModelInvalid(f"{self.name} gave {type(made).__name__}; expected {_WANTED}")
        path = Path(made)
        if not path.exists() or not is_source(path):
            raise ModelInvalid(f"{self.name} gave {str(path)!r}, which is no trained model; expected {_WANTED}")
        return path


def load(name: str) -> Code:
    """The function called `module:function`, empty for the one that comes with Upriver.

    Raises InvalidInput when there is none, RuntimeMissing without TensorFlow for that one.
    """
    module_name, _, function_name = (name or DEFAULT).partition(":")
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if not name:
            raise RuntimeMissing(
                f"{error.name} is not installed where models are trained: pip install 'upriver[train]' there, or set"
                " training.python to a Python that has it"
            ) from error
        raise InvalidInput(
            f"code {name!r}: {error}; it is imported by the Python that trains ({sys.executable})"
        ) from error
    except Exception as error:  # a module of the user's may raise anything
        traceback.print_exc(file=sys.stderr)
        raise InvalidInput(f"code {name!r}: importing it raised {type(error).__name__}: {error}") from error
    function = getattr(module, function_name, None)
    if not callable(function):
        raise InvalidInput(f"code {name!r}: expected module:function, and {module_name} has no such function")
    return Code(name or "fine-tuning", _digest(function), function)


def _digest(function: Callable[..., Any]) -> str:
    try:
        file = inspect.getsourcefile(function)
        data = Path(file).read_bytes() if file else repr(function).encode()
    except (OSError, TypeError):
        data = repr(function).encode()
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
