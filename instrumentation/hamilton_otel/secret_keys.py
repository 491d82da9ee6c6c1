"""Tells of a name (of an argument, a field, a header, a tag) whether what stands under it is a secret.

``DB_PASSWORD``, ``apiKey`` and ``X-Auth-Token`` are; ``token_count``, ``tokenizer`` and ``keyboard`` are not. Not for
secrets that are known by their own form: that is ``secret_patterns.py``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

MAX_KEY: Final = 200

_SECRET: Final = re.compile(
    r"""
    pass_?word | passwd | pass_?phrase | pass_?code | secret(?!ar) | credential | authorization
    | social_?security | credit_?card | passport | bank_?account | account_?n(?:umber|o)(?=_)
    | connection_?string | conn_?str(?=_) | session_?id(?=_)
    | api_?key | (?:access|account|private|secret|session|auth)_?key
    | _(?:admin|aes|app|application|client|consumer|deploy|encryption|hmac|license|master|root|service|shared|signing
        |ssh|storage|subscription|webhook)_?keys?(?=_)
    | (?:access|api|auth|bearer|csrf|oauth|refresh|security|xsrf)_?tokens?(?=_)
    | _(?:db|ftp|http|login|mail|mysql|pg|proxy|redis|root|smtp|user)_?pass(?=_)
    | _(?:auth|card|cookies?|creds?|cv[cv]2?|dsn|iban|jwt|mfa|otp|psw|pwd?|sas|session|sig|ssn|token)(?=_)
    | ^_(?:pass|pin|pin_?code)_$
    """,
    re.VERBOSE,
)
_ABOUT_A_SECRET: Final = re.compile(
    r"""
    ^_(?:avg|has|is|max|mean|min|n|no|num|require[sd]?|total|use[sd]?)_
    | _(?:age|algorithm|at|budget|cost|counts?|dir|domain|enabled|end|exists|expir(?:es|ed|y|ation)|file|format|host|ids
        |in|index|kind|len|length|level|limits?|method|mode|ms|names?|path|policy|present|rate|ratio|required|seconds
        |size|start|status|timeout|ttl|types?|uri|url|usage|used|valid|version)_$
    """,
    re.VERBOSE,
)
_BETWEEN_WORDS: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|[^A-Za-z0-9]+")


class SecretKeys:
    """The names of secrets: those that are commonly used, and *more*; never the *safe* ones.

    :param more: names, or words in names; ``badge`` means ``badge_number`` too.
    :param safe: whole names. Upper case, lower case, ``snake_case`` and ``camelCase`` are alike in both.
    """

    def __init__(self, more: Iterable[str] = (), safe: Iterable[str] = ()) -> None:
        self._more = tuple(map(_words, more))
        self._safe = frozenset(map(_words, safe))
        self._known = lru_cache(2_000)(self._is_secret)

    def is_secret(self, key: str) -> bool:
        """Tell whether *key* names a secret."""
        return self._known(key[-MAX_KEY:])

    def is_safe(self, key: str) -> bool:
        """Tell whether *key* was declared to be harmless."""
        return bool(self._safe) and _words(key) in self._safe

    def _is_secret(self, key: str) -> bool:
        words = _words(key)
        if words in self._safe:
            return False
        if any(more in words for more in self._more):
            return True
        return _SECRET.search(words) is not None and _ABOUT_A_SECRET.search(words) is None


def _words(key: str) -> str:
    """Return *key* as ``_lower_case_words_``, so that a word can be looked for as ``_word_``."""
    return f"_{_BETWEEN_WORDS.sub('_', key).strip('_').lower()}_"
