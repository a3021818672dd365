"""JSON as strangers write it: what Python's parser would pass over in silence is found and said."""

import json
import re
from collections import Counter
from math import isfinite
from typing import Any

_DIGITS = 4000
_ESCAPED_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


class JsonFlaw(ValueError):  # noqa: N818 - a finding about a text, not a fault of the program
    """Why a text is no JSON value that can be stored; the message is for the problem list."""


class JsonText:
    """A JSON decoder that notes double keys, NaN, numbers that are too large and lone surrogates."""

    def __init__(self) -> None:
        self._flaw = ""
        self._decoder = json.JSONDecoder(
            object_pairs_hook=self._object,
            parse_constant=self._constant,
            parse_int=self._integer,
            parse_float=self._float,
        )

    def read(self, text: str) -> Any:
        """The value of a whole text; raises `JsonFlaw`."""
        self._flaw = ""
        try:
            value = self._decoder.decode(text)
        except json.JSONDecodeError as error:
            raise JsonFlaw(f"no valid JSON: {error.msg} at character {error.pos + 1}") from None
        except RecursionError:
            raise JsonFlaw("nested too deep") from None
        self._check(text, value)
        return value

    def read_at(self, text: str, start: int) -> tuple[Any, int, str]:
        """The value that begins at ``start``, where it ends, and its flaw or "".

        Raises `json.JSONDecodeError` where the text breaks off or is wrong, and `RecursionError`.
        """
        self._flaw = ""
        value, end = self._decoder.raw_decode(text, start)
        try:
            self._check(text[start:end], value)
        except JsonFlaw as flaw:
            return value, end, str(flaw)
        return value, end, ""

    def _check(self, text: str, value: Any) -> None:
        if self._flaw:
            raise JsonFlaw(self._flaw)
        try:
            text.encode()
            if _ESCAPED_SURROGATE.search(text):
                json.dumps(value, ensure_ascii=False).encode()
        except RecursionError:
            raise JsonFlaw("nested too deep") from None
        except UnicodeEncodeError:
            raise JsonFlaw(
                "a character that is no valid Unicode (a lone surrogate or a byte that is not UTF-8)"
            ) from None

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            double, _ = Counter(key for key, _ in pairs).most_common(1)[0]
            self._flaw = f"the key {double[:40]!r} occurs twice in one object"
        return found

    def _constant(self, name: str) -> None:
        self._flaw = f"{name}, which is no JSON number"

    def _float(self, digits: str) -> float:
        found = float(digits)
        if not isfinite(found):
            self._flaw = f"the number {digits[:20]}, which is too large"
        return found

    def _integer(self, digits: str) -> int:
        if len(digits) > _DIGITS:
            self._flaw = f"a whole number of {len(digits):,} digits"
            return 0
        return int(digits)
