"""How the store of spans is: what every page that shows what it keeps follows."""

from typing import Final

from upriver.v1 import question_pb2 as pb
from upriver_control.console.feeds import Feed, polled
from upriver_control.console.site import Site

_EVERY_S: Final = 2.0


def feed(site: Site) -> Feed[pb.GetSpanStoreResponse]:
    """What it tells of itself; all pages share it."""
    request = pb.GetSpanStoreRequest()
    return site.feed(
        "span store", lambda: Feed(lambda: polled(lambda: site.remote.questions.GetSpanStore(request), _EVERY_S))
    )
