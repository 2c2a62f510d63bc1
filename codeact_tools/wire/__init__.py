"""Values and frames across the bridge between host and guest.

A frame is a 4-byte big-endian length and a UTF-8 JSON object. In values, plain JSON stands for itself: null, booleans,
integers below 2**53, finite floats, text without lone surrogates, lists, and dictionaries with text keys none of which
is ``"$"``. Everything else is ``{"$": tag, "v": ...}``. Both directions are exact.

What arrives is untrusted: it is parsed strictly, never unpickled, and decoding it runs no code but the validation of
the classes that the catalog names.

`codec` has both directions, for one session: `encoding` and `decoding`, which share `handles`, the values that stay on
the host; `scalars` and `tables` are what they are made of. `frames` is what all of it travels in.
"""

from __future__ import annotations

from .codec import Codec
from .frames import FrameBuffer, encode_frame
from .scalars import MAX_DEPTH, Json, WireError

__all__ = ["MAX_DEPTH", "Codec", "FrameBuffer", "Json", "WireError", "encode_frame"]
