"""The tokens that operators and agents show: made at the first start, kept in private files."""

import os
import secrets
from pathlib import Path

from upriver.errors import ConfigError


def read_token(path: Path, what: str) -> str:
    """The token in a file, which is made when it is not there; raises ConfigError naming `what`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            pass
        else:
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(24) + "\n")
        token = path.read_text().strip()
    except OSError as error:
        raise ConfigError(
            "can't start", [f"{what} = {str(path)!r}: {error.strerror}; expected a private file"]
        ) from error
    if not token or not token.replace("-", "").replace("_", "").isalnum():
        raise ConfigError("can't start", [f"{what} = {str(path)!r}: expected one line of letters, digits, '-' and '_'"])
    return token
