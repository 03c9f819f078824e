"""Whether a certificate still speaks of what runs: it names the top, and the other pairs if it is joint. Pure."""

import math
from collections.abc import Sequence
from functools import lru_cache

from upriver.errors import ManifestError
from upriver.policies import Certificate, Peer, PolicyDocument, read_policy, rules_digest
from upriver_control.jobs.ladder import Rung


def stale(document: str, rungs: Sequence[Rung], certified: str = "") -> str:
    """Why a policy's certificate says nothing of what runs now; empty when it does, or nothing is known.

    `rungs` are the model's tiers as they run, lowest first; `certified` is the name of the version that the certificate
    was made against.
    """
    certificate = certificate_of(document)
    if certificate is None or not rungs:
        return ""
    top = rungs[-1]
    if top.pair.version_digest != certificate.top:
        runs = top.pair.version.rpartition("/")[2] or top.pair.version_digest[:19]
        return (
            f"{top.tier} runs {runs}; it was certified against {certified.rpartition('/')[2] or certificate.top[:19]}"
        )
    for peer in certificate.peers:
        for rung in rungs:
            if rung.tier == peer.tier and not _is_covered(rung.pair.policy_document, peer):
                return f"{rung.tier} runs another pair than the one that this was certified together with"
            if rung.tier == peer.tier and rung.refined:
                return (
                    f"{rung.refined} of {rung.of} agents of {rung.tier} answer with what they made of the pair that"
                    " this was certified together with"
                )
    return ""


def top_of(document: str) -> str:
    """The digest of the version that a policy was certified against; empty without a certificate."""
    certificate = certificate_of(document)
    return "" if certificate is None else certificate.top


def certificate_of(document: str) -> Certificate | None:
    """A policy's certificate, if it has one."""
    policy = _read(document)
    return None if policy is None else policy.certificate


def _is_covered(document: str, peer: Peer) -> bool:
    """Whether a tier that runs this policy is what a joint certificate counted; one that never answers adds nothing."""
    policy = _read(document)
    return policy is not None and (policy.threshold == math.inf or _rules(document) == peer.rules)


@lru_cache(maxsize=4096)
def _read(document: str) -> PolicyDocument | None:
    if not document:
        return None
    try:
        return read_policy(document)
    except ManifestError:  # an agent runs what no longer counts as a policy
        return None


@lru_cache(maxsize=4096)
def _rules(document: str) -> str:
    return rules_digest(read_policy(document))
