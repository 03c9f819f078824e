"""An agent on a machine whose clock is wrong: `afflicted_agent.py --clock-ahead-s N [arguments of the agent]`.

Whatever judges by the time takes its clock as an argument, with the machine's as the default: that is replaced here.
time.time itself is not, because grpc takes deadlines from it that the kernel's clock then measures.
"""

import sys
import time
from functools import partial

from upriver_agent import member, relay
from upriver_agent.__main__ import main as agent


def main() -> int:
    """Runs the agent with a clock that is so many seconds ahead; a negative number is behind."""
    flag, ahead_s, *arguments = sys.argv[1:]
    assert flag == "--clock-ahead-s", flag

    def wrong() -> float:
        return time.time() + float(ahead_s)

    member.Trust = partial(member.Trust, clock=wrong)
    relay.BlobStore = partial(relay.BlobStore, clock=wrong)
    sys.argv[1:] = arguments
    return agent()


if __name__ == "__main__":
    sys.exit(main())
