"""The length of the samples in a sound file: what its container announces, and what the file holds.

libsndfile silently reads a truncated file as a shorter one, ignores everything after an announced length that is too
small, and skips damaged pages of Ogg. Most containers are lists of chunks (identifier, length, content), so that a few
bytes are enough to check.
"""

from __future__ import annotations

import os
import zlib
from pathlib import Path
from typing import BinaryIO, Literal, NamedTuple


class Lengths(NamedTuple):
    """Bytes of samples: as announced, and as the file holds intact."""

    announced: int
    held: int

    @property
    def agree(self) -> bool:
        """Whether the two differ by at most 1 %, as writers may forget to count a header or a tag."""
        return abs(self.held - self.announced) <= 0.01 * self.announced


class _Chunks(NamedTuple):
    first: int  # where the first chunk begins
    samples: bytes  # identifier of the chunk that holds the samples
    length_bytes: int
    order: Literal["little", "big"]
    align: int = 1  # chunks begin at multiples of this
    counted: int = 0  # bytes of the chunk's own head that its length includes


_CHUNKS = {
    b"RIFF": _Chunks(12, b"data", 4, "little", align=2),
    b"RIFX": _Chunks(12, b"data", 4, "big", align=2),
    b"RF64": _Chunks(12, b"data", 4, "little", align=2),
    b"FORM": _Chunks(12, b"SSND", 4, "big", align=2),  # AIFF
    b"caff": _Chunks(8, b"data", 8, "big"),
    b"riff": _Chunks(
        40, b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a", 8, "little", align=8, counted=24
    ),  # W64
}
# Programs that write to a pipe do not know the length, and announce one of the largest numbers of 31 or 32 bits.
_UNKNOWN = 0x7FFF_F000
_BLOCK = 1 << 20  # bytes


def sample_lengths(path: str | Path) -> Lengths | None:
    """Read the lengths of a WAV, RF64, W64, AIFF, CAF, AU or Ogg file.

    Returns:
        None for other formats, or if no length is announced.

    Raises:
        OSError: The file cannot be read.
    """
    with open(path, "rb") as file:
        end = os.fstat(file.fileno()).st_size
        magic = file.read(4)
        if magic in (b".snd", b"dns."):  # AU: a fixed header, then samples to the end
            order: Literal["little", "big"] = "big" if magic == b".snd" else "little"
            start, announced = (int.from_bytes(file.read(4), order) for _ in range(2))
            return None if announced >= _UNKNOWN else Lengths(announced, max(0, end - start))
        if magic == b"OggS":
            return _page_lengths(file, end)
        kind = _CHUNKS.get(magic)
        return None if kind is None else _chunk_lengths(file, kind, end, magic == b"RF64")


def _chunk_lengths(file: BinaryIO, kind: _Chunks, end: int, rf64: bool) -> Lengths | None:
    head_bytes = len(kind.samples) + kind.length_bytes
    data: tuple[int, int] | None = None  # where the samples begin, and their announced length
    position = kind.first
    while end - position >= head_bytes:
        file.seek(position)
        head = file.read(head_bytes)
        name, length = head[: len(kind.samples)], int.from_bytes(head[len(kind.samples) :], kind.order) - kind.counted
        start = position + head_bytes
        if data is None and name == kind.samples:
            if rf64 and length == 0xFFFF_FFFF:  # then the length is in the chunk ds64, which is always first
                file.seek(28)
                length = int.from_bytes(file.read(8), "little")
            if (kind.length_bytes == 4 and not rf64 and length >= _UNKNOWN) or length >= 1 << 62:
                return None
            data = start, length
        elif data is not None and not (
            name[:4].isascii() and name[:4].decode().isprintable() and length <= end - start
        ):
            break  # not a chunk: the samples continue
        position = start + max(0, length)
        position += -position % kind.align
        if data is not None and position >= end:
            break
    if data is None:
        return Lengths(1, 0)  # the file ends before its samples begin
    start, announced = data
    if start + announced >= end:
        return Lengths(announced, end - start)
    file.seek(position)
    rest = 0  # what follows the last chunk, but for zeros at the end, which are padding
    for start in range(position, end, _BLOCK):
        if some := len(file.read(_BLOCK).rstrip(b"\0")):
            rest = start - position + some
    return Lengths(announced, announced + rest)


def _page_lengths(file: BinaryIO, end: int) -> Lengths:
    """Check the pages of an Ogg file (RFC 3533) by their checksums; the last page is marked."""
    position, last = 0, False
    file.seek(0)
    while (head := file.read(27))[:4] == b"OggS" and len(head) == 27:
        table = file.read(head[26])
        body = file.read(sum(table))
        blank = head[:22] + bytes(4) + head[26:] + table + body  # its own field counts as zeros in the checksum
        whole = len(table) == head[26] and len(body) == sum(table)
        if not whole or _ogg_checksum(blank) != int.from_bytes(head[22:26], "little"):
            break
        last = bool(head[5] & 4)
        position += len(blank)
    return Lengths(end, position if last else 0)


_MIRRORED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _ogg_checksum(page: bytes) -> int:
    """Compute Ogg's CRC-32 with zlib's: the same polynomial, but with mirrored bits and two inversions."""
    crc = zlib.crc32(page.translate(_MIRRORED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int(f"{crc:032b}"[::-1], 2)
