"""How long to wait before trying again. Pure: chance is an argument."""

from collections.abc import Callable


def full_jitter_s(failures: int, first_s: float, longest_s: float, chance: Callable[[], float]) -> float:
    """Seconds to wait after so many failures in a row: a share by chance of `first_s` doubled each time, up to a bound.

    `chance` gives a number in [0, 1). Source: Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    bound = min(longest_s, first_s * 2.0 ** min(max(0, failures - 1), 32))
    return bound * chance()
