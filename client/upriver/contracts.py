"""The contracts of models that a client has learnt from its agents."""

from upriver.answer import ModelMetadata

MAX_MODELS = 256


class Contracts:
    """The last contracts by model and version; the oldest is forgotten when there are too many."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], ModelMetadata] = {}

    def get(self, model: str, version: str) -> ModelMetadata | None:
        """The contract, or None when it is not known."""
        return self._known.get((model, version))

    def put(self, model: str, version: str, metadata: ModelMetadata) -> None:
        """Remembers a contract."""
        while len(self._known) >= MAX_MODELS:
            self._known.pop(next(iter(self._known), (model, version)), None)
        self._known[model, version] = metadata

    def drop(self, model: str, version: str) -> None:
        """Forgets a contract that a request did not fit: it may have changed."""
        self._known.pop((model, version), None)
