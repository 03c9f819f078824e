"""A training on a Ray cluster: Ray Data reads the lessons, and one task does the same work as a local one.

The only module that imports `ray`. The cluster's machines need `upriver[control-plane,train]` and to reach the lessons'
URL; the base version and its source are sent along.
"""

import io
import socket
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from upriver.errors import InvalidInput, RuntimeMissing, UpriverError
from upriver_control.training.order import LESSONS, MADE, Order
from upriver_control.training.running import run

try:
    import ray
    import ray.data
except ModuleNotFoundError as error:
    raise RuntimeMissing(
        f"{error.name} is not installed where models are trained: pip install 'upriver[ray]', or take executor local"
    ) from error

ROWS: Final = 2_000
_CONNECT_S: Final = 10.0


def run_on_ray(order: Order, tell: Callable[[str, float], None]) -> None:
    """Trains as ordered on the cluster at the order's address, `local` for one on this machine."""
    address = order.spec.ray_address
    tell(f"connecting to Ray at {address}", 0.0)
    _look_for(address)
    try:
        ray.init(address=address, log_to_driver=True, include_dashboard=False)
    except (ConnectionError, RuntimeError, ValueError, TimeoutError) as error:
        raise InvalidInput(f"there is no Ray cluster at {address!r}: {error}") from error
    try:
        tell("training on Ray", 0.1)
        task = ray.remote(_trained)
        answer = ray.get(task.remote(order, ray.put(_packed(order.path(), LESSONS))))
    except ray.exceptions.RayError as error:
        raise InvalidInput(f"Ray could not do it: {str(error).strip().rpartition(chr(10))[2][:500]}") from error
    finally:
        ray.shutdown()
    if isinstance(answer, str):
        raise InvalidInput(answer)
    order.made.mkdir(exist_ok=True)
    _unpack(answer, order.made)


def _look_for(address: str) -> None:
    """Raises InvalidInput at once where nobody listens: Ray itself would try for minutes."""
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        return  # `local` or `auto`
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise InvalidInput(f"there is no Ray cluster at {address!r}: {error}") from error


def _trained(order: Order, files: bytes) -> bytes | str:
    """What came out, packed; or why nothing did. Runs on a machine of the cluster."""
    with tempfile.TemporaryDirectory(prefix="upriver-train-") as aside:
        there = replace(order, folder=aside)
        _unpack(files, Path(aside))
        try:
            run(there, _tables(order.lessons_url), lambda doing, _: print(doing, flush=True))
        except UpriverError as error:
            return str(error)
        return _packed(Path(aside, MADE))


def _tables(url: str) -> Iterator[pa.Table]:
    yield from ray.data.read_parquet(url).iter_batches(batch_size=ROWS, batch_format="pyarrow")


def _packed(folder: Path, without: str = "") -> bytes:
    made = io.BytesIO()

    def wanted(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
        return None if without and info.name.split("/")[0] == without else info

    with tarfile.open(fileobj=made, mode="w") as archive:
        for path in sorted(folder.iterdir()):
            archive.add(path, path.name, filter=wanted)
    return made.getvalue()


def _unpack(data: Any, folder: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        archive.extractall(folder, filter="data")
