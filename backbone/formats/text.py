"""Decoding: an ordered list of encodings is declared, and the first that decodes the whole document is taken.

Nothing is guessed. The choice is made in the first pass and holds for the document.
"""

import codecs
from collections.abc import Sequence
from typing import Final

from backbone.errors import DocumentError

BLOCK_BYTES: Final = 262_144
DEFAULT_ENCODINGS: Final = ("utf-8-sig", "cp1252")
_HTML: Final = (b"<!doctype html", b"<html", b"<head", b"<body")


class EncodingChoice:
    """Feed it the document block by block; it strikes out the encodings that do not decode it."""

    def __init__(self, encodings: Sequence[str]) -> None:
        """Take the encodings in the order of preference; each must extend ASCII."""
        self._declared = tuple(encodings)
        self._left = [(name, codecs.getincrementaldecoder(name)("strict")) for name in encodings]
        self._split = False
        self._fed_bytes = 0

    def feed(self, block: bytes, *, final: bool = False) -> None:
        """Take the next block; raises DocumentError ``document.undecodable`` when no encoding is left."""
        begin, self._fed_bytes = self._fed_bytes, self._fed_bytes + len(block)
        if block.isascii() and not self._split:
            return  # every declared encoding says the same of it, and a look is fifty times cheaper than decoding
        left, wrong = [], 0
        for name, decoder in self._left:
            at = _undecodable(decoder, block, final=final)
            if at is None:
                left.append((name, decoder))
            else:
                skipped = len(without_bom(block)[0]) - len(block) if begin == 0 and name == "utf-8-sig" else 0
                wrong = max(wrong, begin + at - skipped)
        self._left = left
        self._split = any(decoder.getstate()[0] for _, decoder in self._left)
        if not self._left:
            message = f"the document is not encoded as {' or '.join(self._declared)}: see byte {wrong:,}"
            guidance = "declare the extract's encoding with the feed's `encodings`"
            raise DocumentError(message, code="document.undecodable", guidance=guidance)

    @property
    def chosen(self) -> str:
        """Return the first encoding that is left."""
        return self._left[0][0]


def _undecodable(decoder: codecs.IncrementalDecoder, block: bytes, *, final: bool) -> int | None:
    """Return at which byte of the block decoding fails, or None where it does not."""
    pending = len(decoder.getstate()[0])
    try:
        decoder.decode(block, final)
    except UnicodeDecodeError as error:
        return error.start - pending
    return None


def extends_ascii(encoding: str) -> bool:
    """Say whether every ASCII byte stands for itself, so that lines and quotes can be found before decoding."""
    every = bytes(range(128))
    try:
        return every.decode(encoding) == every.decode("ascii")
    except (LookupError, UnicodeError):
        return False


def without_bom(block: bytes) -> tuple[bytes, int]:
    """Return the first block of a document without its UTF-8 byte-order mark, and the mark's length."""
    if block.startswith(codecs.BOM_UTF8):
        return block[3:], 3
    return block, 0


def plain(encoding: str) -> str:
    """Return the codec for text behind the byte-order mark."""
    return "utf-8" if encoding == "utf-8-sig" else encoding


def looks_like_html(head: bytes) -> bool:
    """Say whether a document begins as a web page: an error page under the name of an extract."""
    return without_bom(head)[0].lstrip()[:200].lower().startswith(_HTML)
