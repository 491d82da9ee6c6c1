"""Takes secrets out of text and of nested values, by what they are called and by their form.

Not for deciding what is captured nor how long it may be: that is ``capture.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any, Final

from .secret_keys import SecretKeys
from .secret_patterns import PATTERNS, Pattern

REDACTED: Final = "[redacted]"
MAX_SCANNED: Final = 60_000
"""Characters that are looked through; of longer text only both ends are kept."""
MAX_SECRET: Final = 8_192
"""Characters of the longest secret that is still found where text is cut."""
MAX_ROUNDS: Final = 4
"""Looks at a text with secrets in it: what stood beside one may be recognized only when that is gone."""
MAX_DEPTH: Final = 8
MAX_ITEMS: Final = 1_000
SHORTEST_CARD: Final = 10**12
"""As a number."""

_KEY: Final = re.compile(
    r"""
      \(b?["'](?P<pair>[\w.-]++)["'],\s{0,4}                     # ("key", value)
    | (?<![\w.-])(?P<key>[\w.-]++)
      (?:(?:\\{0,8}["'])?\]?\s{0,8}(?:=>|:=|==?|:)\s{0,8}|>)     # key=value, "key": value, d["key"] = value, <key>value
    | (?<![\w.-])(?P<flag>--[\w.-]++)["']?,?\s{1,4}              # --key value
    """,
    re.VERBOSE,
)
_BEHIND_KEYS: Final = ("=", ":", ">", "--", "',", '",')
_ANNOTATION: Final = re.compile(r"[A-Za-z_][\w.\[\]]*+(?: \| [\w.\[\]]++){0,4} = ")
_VALUE: Final = re.compile(
    r"""
      (?:[bBfFrRuU]{1,2}(?=["']))?
      (?:
        (\\{1,8})(["'])(?P<escaped>(?:(?!\1\2)[^\n])*+)
      | "{3}(?P<triple>[^"]*+)
      | "(?P<double>(?:[^"\\\n]++|\\.)*+)
      | '(?P<single>(?:[^'\\\n]++|\\.)*+)
      )
    | (?P<nested>\[[^\[\]\n]*+\]|\([^()\n]*+\)|\{[^{}\n]*+\}|[\[({][^\n]*+)
    | (?P<digest>(?i:digest)[ ][^\n]++)
    | (?P<scheme>(?i:apikey|basic|bearer|negotiate|oauth|token)[ ]{1,4}[^\s,;"']++)
    | (?P<grouped>\d++(?:[ -]\d++)*+|[A-Z]{2}\d\d(?:[ ][A-Z0-9]{1,4}){3,8}+)(?=\.?(?:[\s,;&"')}\]]|$))
    | (?P<block>[|>][+-]?[ ]{0,8}(?:\n|\\{1,8}n)[^\n]++)
    | (?P<bare>(?:
          [^\s"'&;,)}\]><]
        | ["',)}\]>](?=[^\s"'&;,)}\]><])
        | <(?!/)
        | &(?![\w.%-]{1,64}=)
        | ;(?!\s|$|[\w.-][\w.\ -]{0,40}=)
      )++)
    """,
    re.VERBOSE,
)
_OF_WORDS: Final = ("cookie", "phrase")
"""Secrets that go on to the end of the line."""
_LINE: Final = re.compile(r"[^\n\"']++")
_NOTHING: Final = frozenset({"", "None", "null", "nil", "undefined", "True", "False", "true", "false"})


class Redactor:
    """Replaces secrets by ``[redacted]`` and leaves everything else as it is.

    :param keys: names of secrets besides those that are commonly used; see :class:`SecretKeys`.
    :param patterns: regular expressions of secrets besides those of ``secret_patterns.py``.
    :param safe_keys: whole names of what is no secret, whatever it looks like.
    :raises re.error: where one of *patterns* is no regular expression.
    """

    def __init__(self, keys: Iterable[str] = (), patterns: Iterable[str] = (), safe_keys: Iterable[str] = ()) -> None:
        self._keys = SecretKeys(keys, safe_keys)
        self._patterns = (*PATTERNS, *(Pattern(re.compile(pattern)) for pattern in patterns))
        self._hints = tuple(hint for pattern in self._patterns for hint in pattern.hints)

    def text(self, text: str) -> str:
        """Return *text* without secrets; of very long text its two ends."""
        if len(text) <= MAX_SCANNED:
            return self._scan(text)
        half = MAX_SCANNED // 2
        # A secret may be cut in half at the inner edges, where it is not recognized.
        head, tail = self._scan(text[:half])[:-MAX_SECRET], self._scan(text[-half:])[MAX_SECRET:]
        return f"{head} ... {tail}"

    def value(self, key: str, value: Any) -> Any:
        """Return *value*, which is called *key*, without secrets: text, numbers, and what mappings and lists hold."""
        return self._value(key, value, MAX_DEPTH)

    def hides(self, key: str) -> bool:
        """Tell whether what is called *key* is a secret, whatever it is."""
        return self._keys.is_secret(key)

    def trusts(self, key: str) -> bool:
        """Tell whether what is called *key* was declared to be no secret."""
        return self._keys.is_safe(key)

    def _value(self, key: str, value: Any, depth: int) -> Any:
        if value is None or isinstance(value, (bool, float)) or self.trusts(key):
            return REDACTED if isinstance(value, float) and self.hides(key) else value
        if self.hides(key) and value != "":
            return REDACTED
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, int):
            return value if value < SHORTEST_CARD or self.text(str(value)) == str(value) else REDACTED
        if isinstance(value, bytes):
            text = value.decode("utf-8", "replace")
            return value if self.text(text) == text else self.text(text)
        if depth == 0:
            return REDACTED
        if isinstance(value, Mapping):
            items = islice(value.items(), MAX_ITEMS)
            return {self.text(str(name)): self._value(str(name), item, depth - 1) for name, item in items}
        if isinstance(value, (list, tuple)):
            return [self._value("", item, depth - 1) for item in islice(value, MAX_ITEMS)]
        return value

    def _scan(self, text: str) -> str:
        for _ in range(MAX_ROUNDS):
            before, text = text, self._without_secrets(text)
            if text == before:
                break
        return text

    def _without_secrets(self, text: str) -> str:
        text = self._without_named(text)
        hints = {hint for hint in self._hints if hint in text}
        for pattern in self._patterns:
            if not pattern.hints or not hints.isdisjoint(pattern.hints):
                text = pattern.replace(text, REDACTED)
        return text

    def _without_named(self, text: str) -> str:
        """Return *text* without the values that stand behind the name of a secret."""
        if not any(sign in text for sign in _BEHIND_KEYS):
            return text
        parts: list[str] = []
        done = position = 0
        while found := _KEY.search(text, position):
            position = found.end()
            key = found[found.lastgroup or 0]
            if not self.hides(key):
                continue
            annotation = _ANNOTATION.match(text, position)
            has_spaces = any(word in key.lower() for word in _OF_WORDS) and text[position : position + 1] not in "\"'"
            form = _LINE if has_spaces else _VALUE
            value = form.match(text, annotation.end() if annotation else position)
            if value is None or value[value.lastgroup or 0] in _NOTHING:
                continue
            start, position = value.span(value.lastgroup or 0)
            parts += text[done:start], REDACTED
            done = position
        return "".join((*parts, text[done:])) if parts else text
