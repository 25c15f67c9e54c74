"""`TextCache`: bounds the encoded row text that is kept beside segments."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol, TypeVar
from weakref import ref

from .segment import Segment


class Sized(Protocol):
    """Text of a segment's rows, in whatever form."""

    @property
    def nbytes(self) -> int:
        """Bytes it takes."""
        ...


_FEW = 64
Text = TypeVar("Text", bound=Sized)


class TextCache:
    """Keeps the text of segments with them, and past a bound drops the text that was used longest ago.

    Parameters
    ----------
    limit_bytes : int or None
        Bound on all text kept; None for none. The text made last is kept whatever its size.

    Notes
    -----
    Thread-safe. Text that is dropped while an export refers to it stays until that export is done; then it is encoded
    anew on next use.
    """

    def __init__(self, limit_bytes: int | None = None) -> None:
        self.limit_bytes = limit_bytes
        self._held: OrderedDict[tuple[int, str], tuple[ref[Segment], int]] = OrderedDict()
        self._total = 0
        self._look_at = _FEW
        self._lock = threading.Lock()

    def nbytes(self) -> int:
        """Return the bytes of text kept now."""
        with self._lock:
            self._drop_dead()
            return self._total

    def get(self, segment: Segment, style: str, encode: Callable[[], Text]) -> Text:
        """Return the text of a segment in a style; `encode` makes it where it is not at hand.

        Two threads that come first at once may both encode; one result is kept.
        """
        text: Text | None = segment.texts.get(style)
        if text is None:
            text = self.put(segment, style, encode())
        elif self.limit_bytes is not None:
            with self._lock:
                if (id(segment), style) in self._held:
                    self._held.move_to_end((id(segment), style))
        return text

    def put(self, segment: Segment, style: str, text: Text) -> Text:
        """Keep the text of a segment, and return the one that is kept: the first."""
        kept: Text = segment.texts.setdefault(style, text)
        if kept is text:
            self._keep(segment, style, text.nbytes)
        return kept

    def _keep(self, segment: Segment, style: str, size: int) -> None:
        with self._lock:
            # A segment that is gone may have left its id to this one.
            _, dead = self._held.pop((id(segment), style), (None, 0))
            self._held[id(segment), style] = ref(segment), size
            self._total += size - dead
            if len(self._held) > self._look_at:  # a long run leaves many segments behind
                self._drop_dead()
                self._look_at = 2 * len(self._held) + _FEW
            if self.limit_bytes is None or self._total <= self.limit_bytes:
                return
            self._drop_dead()
            while self._total > self.limit_bytes and len(self._held) > 1:
                (_, old_style), (held, size) = self._held.popitem(last=False)
                self._total -= size
                old = held()
                if old is not None:
                    old.texts.pop(old_style, None)

    def _drop_dead(self) -> None:
        """Forget segments that are gone."""
        for key in [key for key, (held, _) in self._held.items() if held() is None]:
            self._total -= self._held.pop(key)[1]
