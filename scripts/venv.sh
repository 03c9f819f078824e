# Sourced by the other scripts, from the repository's root: makes .venv when it is missing or stale.
#
#   ensure_venv demo      what scripts/demo needs: the agent, the client, the CLI and telemetry
#   ensure_venv dev       that and the tools of scripts/check and scripts/test
#   ensure_train_venv     .venv-train: TensorFlow and the control plane
#   new_venv FOLDER       an empty venv with pip, for scripts that keep one of their own
#
# A venv of the level dev serves demo too; from demo to dev it grows in place. It is stale when the dependencies in a
# pyproject.toml or the versions in constraints.txt changed, and made anew when the folder moved or Python is gone.
# Needs Python 3.11 or later with the venv module, and never root. UPRIVER_PYTHON names the interpreter to use.

_say() { echo "venv: $*" >&2; }

# Prints a Python that is new enough: UPRIVER_PYTHON, or the first of those on PATH.
_find_python() {
    local candidate
    for candidate in ${UPRIVER_PYTHON:-python3 python3.13 python3.12 python3.11}; do
        if "$candidate" -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    if [[ -n "${UPRIVER_PYTHON:-}" ]]; then
        _say "UPRIVER_PYTHON=$UPRIVER_PYTHON does not run, is older than 3.11, or has no venv module"
    else
        _say "found no Python 3.11 or later with the venv module on PATH; set UPRIVER_PYTHON to one"
    fi
    return 1
}

# Debian packs pip's wheel apart from Python (python3-venv). Without it and without root, takes the wheel's package
# from the configured mirror and unpacks it.
_pip_from_debian() {
    local python=$1 folder=$2 work wheel
    command -v apt-get >/dev/null && command -v dpkg >/dev/null || return 1
    work=$(mktemp -d)
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
    local private=(-o "Dir::State::Lists=$work/lists" -o "Dir::Cache=$work/cache")
    if ! (cd "$work" && apt-get -q download python3-pip-whl) >"$work/log" 2>&1; then
        (cd "$work" && apt-get -q "${private[@]}" update && apt-get -q "${private[@]}" download python3-pip-whl) \
            >>"$work/log" 2>&1 || true
    fi
    for wheel in "$work"/*.deb; do [[ -e "$wheel" ]] && dpkg -x "$wheel" "$work/unpacked"; done
    for wheel in "$work"/unpacked/usr/share/python-wheels/pip-*.whl; do
        if [[ -e "$wheel" ]] && "$python" -m venv --without-pip "$folder" \
            && PYTHONPATH="$wheel" "$folder/bin/python" -m pip -q install --no-index "$wheel" >>"$work/log" 2>&1; then
            rm -rf "$work"
            return 0
        fi
    done
    tail -n 5 "$work/log" >&2
    rm -rf "$work"
    return 1
}

new_venv() {
    local folder=$1 python
    python=$(_find_python) || return 1
    rm -rf "$folder"
    if "$python" -c 'import ensurepip' 2>/dev/null; then
        "$python" -m venv "$folder" && return 0
    fi
    rm -rf "$folder"
    _say "$python has no ensurepip; fetching pip without installing a package"
    _pip_from_debian "$python" "$folder" && return 0
    rm -rf "$folder"
    _say "could not make a venv with $python: install python3-venv, or set UPRIVER_PYTHON to a complete Python"
    return 1
}

# What an installed venv must match: where it is, and what it was made from. The tools' own settings do not count.
_venv_stamp() {
    "$1" - <<'PYTHON'
import hashlib, pathlib, tomllib
made_from = [pathlib.Path.cwd()]
for distribution in (".", "control_plane"):
    settings = tomllib.loads(pathlib.Path(distribution, "pyproject.toml").read_text("utf-8"))
    made_from += [settings["project"], settings["build-system"], settings["tool"]["hatch"]]
made_from.append(pathlib.Path("constraints.txt").read_text("utf-8"))
print(hashlib.sha256(repr(made_from).encode()).hexdigest())
PYTHON
}

_venv_is() {
    local level=$1 stamp
    [[ -x .venv/bin/python ]] || return 1
    stamp=$(_venv_stamp .venv/bin/python 2>/dev/null) || return 1
    grep -qsxF "$stamp" ".venv/upriver-$level" .venv/upriver-dev
}

_install_level() {
    local level=$1 started=$SECONDS here
    _venv_is "$level" && return 0 # another script made it while this one waited
    here=$(cat .venv/upriver-folder 2>/dev/null || true)
    if [[ "$here" != "$PWD" ]] || ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
        _say "making .venv"
        new_venv .venv || return 1
        echo "$PWD" >.venv/upriver-folder
    fi
    [[ "$level" == demo && -e .venv/upriver-dev ]] && level=dev # do not let tools fall behind
    rm -f .venv/upriver-demo .venv/upriver-dev
    _say "installing upriver[$level]; the first time takes a minute or so"
    .venv/bin/python -m pip install -qq --disable-pip-version-check --no-input \
        -c constraints.txt -e ".[$level]" -e control_plane >&2 ||
        { _say "pip could not install upriver[$level] into .venv"; return 1; }
    _venv_stamp .venv/bin/python >".venv/upriver-$level"
    _say "ready in $((SECONDS - started)) s: $(.venv/bin/python --version), level $level"
}

ensure_venv() {
    case "${1:-}" in demo | dev) ;; *) _say "ensure_venv: expected demo or dev, got '${1:-}'"; return 1 ;; esac
    _venv_is "$1" && return 0
    mkdir -p .cache
    (
        # Two scripts started at once must not install into each other's half-made venv.
        if command -v flock >/dev/null; then
            flock --nonblock 9 || _say "waiting for another script that is making .venv"
            flock --wait 900 9 || { _say "another script has held .cache/venv.lock for 15 minutes"; exit 1; }
        fi
        _install_level "$1"
    ) 9>.cache/venv.lock
}

# .venv-tflite: the old runtime (wheels up to Python 3.11, built against numpy 1) and what its contract tests need.
ensure_tflite_venv() {
    local stamp="tflite-runtime==2.14.0 numpy==1.26.4 $PWD"
    [[ -x .venv-tflite/bin/python ]] && grep -qsxF "$stamp" .venv-tflite/upriver-stamp && return 0
    _say "making .venv-tflite"
    new_venv .venv-tflite || return 1
    .venv-tflite/bin/python -m pip install -qq --disable-pip-version-check --no-input \
        tflite-runtime==2.14.0 numpy==1.26.4 pytest hypothesis >&2 || return 1
    .venv-tflite/bin/python -m pip install -qq --disable-pip-version-check --no-input --no-deps -e . >&2 || return 1
    echo "$stamp" >.venv-tflite/upriver-stamp
}

# .venv-train: TensorFlow, for converting trained models and for training the demo's; 1.5 GB. It wants a newer ml_dtypes
# than devices are given. Also what else is too large for .venv: a server of S3's protocol and its client.
ensure_train_venv() {
    local stamp constraints=.cache/constraints-train.txt
    stamp=$(_venv_stamp .venv-train/bin/python 2>/dev/null) && grep -qsxF "$stamp" .venv-train/upriver-stamp && return 0
    _say "making .venv-train, with TensorFlow"
    new_venv .venv-train || return 1
    mkdir -p .cache
    grep -v '^ml_dtypes' constraints.txt >"$constraints"
    .venv-train/bin/python -m pip install -qq --disable-pip-version-check --no-input \
        -c "$constraints" -e '.[control-plane,train,s3]' -e control_plane 'moto[s3,server]' pytest hypothesis >&2 || return 1
    _venv_stamp .venv-train/bin/python >.venv-train/upriver-stamp
}
