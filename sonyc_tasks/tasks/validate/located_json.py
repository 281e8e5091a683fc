"""Parse JSON objects with the line of each key, so that a message can point to it."""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections import Counter
from contextlib import suppress
from typing import Any

# Every string is matched as a whole, and is a key if a colon follows; colons inside strings do not count.
_STRING = re.compile(r'("(?:[^"\\]|\\.)*")(\s*:)?')


def parse(text: str) -> tuple[dict[str, Any] | None, dict[str, int], list[tuple[int, str]]]:
    """Parse ``text``.

    Returns:
        The JSON object or None; key → its first line, keys of nested objects included; and faults as (line, message).
        A key that an object has twice is a fault, because JSON readers drop one.

    >>> parse('{\\n"a.wav": ["dog"]\\n}')
    ({'a.wav': ['dog']}, {'a.wav': 2}, [])
    """
    breaks = [match.start() for match in re.finditer("\n", text)]
    lines: dict[str, int] = {}
    for match in filter(lambda match: match[2], _STRING.finditer(text)):
        with suppress(ValueError):
            lines.setdefault(json.loads(match[1]), bisect_left(breaks, match.start()) + 1)
    faults: list[tuple[int, str]] = []

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        for key, count in Counter(key for key, _ in pairs).items():
            if count > 1:
                faults.append((lines[key], f"{key} occurs {count} times but only the last one counts; keep one"))
        return dict(pairs)

    try:
        content = json.loads(text, object_pairs_hook=unique)
    except json.JSONDecodeError as error:
        return None, lines, [(error.lineno, f"this is not JSON ({error.msg}); correct the line")]
    except (ValueError, RecursionError) as error:  # a number of thousands of digits; brackets thousands deep
        return None, lines, [(1, f"this cannot be read ({error}); write it again")]
    if not isinstance(content, dict):
        return None, lines, [(1, "this is not a JSON object; write { … }")]
    return content, lines, faults
