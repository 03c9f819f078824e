"""The control plane's BlobService counts what it hands out."""

import asyncio

from upriver.v1 import blob_pb2 as pb
from upriver_control.blobs.servicer import BlobServicer

DATA, DIGEST = b"a few bytes", "sha256:" + "0" * 64


class Memory:
    def size(self, digest):
        return len(DATA)

    def read(self, digest, offset, size):
        return DATA[offset : offset + size]


def test_a_piece_is_counted_when_its_receiver_leaves_right_after_it():
    servicer = BlobServicer(Memory(), None, None)

    async def fetch_and_leave():
        pieces = servicer.fetch(pb.FetchRequest(digest=DIGEST), None)
        assert (await anext(pieces)).data == DATA
        await pieces.aclose()

    asyncio.run(fetch_and_leave())
    assert servicer.sent == {DIGEST: len(DATA)}
