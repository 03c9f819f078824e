"""Whether a certificate still speaks of what runs: it names the version that was asked as the top. Pure."""

from functools import lru_cache

from upriver.errors import ManifestError
from upriver.policies import read_policy
from upriver_control.jobs.ladder import Rung


def stale(document: str, top: Rung | None, certified: str = "") -> str:
    """Why a policy's certificate says nothing of what runs now; empty when it does, or nothing is known.

    `top` is the highest tier as it runs, `certified` the name of the version that the certificate was made against.
    """
    digest = top_of(document)
    if not digest or top is None or top.pair.version_digest == digest:
        return ""
    runs = top.pair.version.rpartition("/")[2] or top.pair.version_digest[:19]
    return f"{top.tier} runs {runs}; it was certified against {certified.rpartition('/')[2] or digest[:19]}"


@lru_cache(maxsize=4096)
def top_of(document: str) -> str:
    """The digest of the version that a policy was certified against; empty without a certificate."""
    if not document:
        return ""
    try:
        certificate = read_policy(document).certificate
    except ManifestError:  # an agent runs what no longer counts as a policy
        return ""
    return "" if certificate is None else certificate.top
