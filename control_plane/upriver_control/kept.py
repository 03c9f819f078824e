"""What outlives a control-plane process, opened: database, artifacts, keys and tokens."""

import time
from dataclasses import dataclass

from upriver.errors import ConfigError
from upriver_control.artifacts import FsspecArtifacts
from upriver_control.config import ControlPlaneConfig
from upriver_control.spans.store import open_spans
from upriver_control.store.database import Database, open_database
from upriver_control.tokens import read_token
from upriver_control.trust.opening import repository_of
from upriver_control.trust.repository import Repository


@dataclass(frozen=True, slots=True)
class Kept:
    """Everything that outlives the process, opened. `join_token` and `operator_token` are empty where none is asked."""

    config: ControlPlaneConfig
    database: Database
    spans: Database
    artifacts: FsspecArtifacts
    repository: Repository
    fingerprint: str
    operator_token: str
    join_token: str

    def close(self) -> None:
        """Closes the databases."""
        self.spans.close()
        self.database.close()


def open_kept(config: ControlPlaneConfig) -> Kept:
    """Opens database, artifacts, keys and tokens, and makes them at the first start; raises as `run` does.

    The database of spans is opened when it is used: without it everything else goes on.
    """
    folder = config.state.folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            "can't start", [f"state.folder = {str(folder)!r}: {error.strerror}; expected a folder to write to"]
        ) from error
    operator_token, join_token = tokens_of(config)
    artifacts = FsspecArtifacts(config.artifacts_url, config.artifacts_options)
    repository = repository_of(config, time.time)
    fingerprint = repository.open()
    database = open_database(config.database_url)
    try:
        spans = open_spans(config.spans_url)
    except BaseException:
        database.close()
        raise
    return Kept(config, database, spans, artifacts, repository, fingerprint, operator_token, join_token)


def tokens_of(config: ControlPlaneConfig) -> tuple[str, str]:
    """The operator's token and the join token, made at the first start; both empty where none is required."""
    access, folder = config.access, config.state.folder
    if not access.required:
        return "", ""
    operator = access.operator_token_file or folder / "operator-token"
    join = access.join_token_file or folder / "join-token"
    return read_token(operator, "access.operator_token_file"), read_token(join, "access.join_token_file")


def join_text(config: ControlPlaneConfig, join_token: str, fingerprint: str, address: str = "") -> str:
    """What agents are configured with: `upriver://TOKEN@host:port?root=sha256:...`; `address` is the one bound."""
    where = config.server.advertise or address or config.server.listen
    return f"upriver://{join_token + '@' if join_token else ''}{where}?root={fingerprint}"
