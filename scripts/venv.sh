# Sourced by the other scripts: makes .venv when it is missing or stale (pyproject.toml or constraints.txt changed).
# Needs Python 3.11 or later with the venv module; never needs root. UPRIVER_PYTHON names another interpreter.
