"""`scripts/bench SUITE`: runs one of the benchmark suites."""

import sys
from collections.abc import Callable, Sequence

from bench import blobs, cascade, certificate, console, fleet, learning, monitor, outage, serving, spans, swap, tracing

SUITES: dict[str, Callable[[Sequence[str]], int]] = {
    "serving": serving.main,
    "tracing": tracing.main,
    "fleet": fleet.main,
    "blobs": blobs.main,
    "swap": swap.main,
    "certificate": certificate.main,
    "console": console.main,
    "cascade": cascade.main,
    "monitor": monitor.main,
    "outage": outage.main,
    "learning": learning.main,
    "spans": spans.main,
}


def main() -> int:
    """Chooses the suite."""
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name in SUITES:
        return SUITES[name](sys.argv[2:])
    print(f"usage: scripts/bench SUITE [--help]\nsuites: {', '.join(SUITES)}", file=sys.stderr)
    return 0 if name in ("-h", "--help") else 2


if __name__ == "__main__":
    sys.exit(main())
