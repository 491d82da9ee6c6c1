"""The forms by which secrets and personal data are known wherever they stand: tokens, keys, URLs, cards, addresses.

Each takes time linear in the text, and is tried only where one of its hints is in the text. Not for values that are
secret by what they are called: that is ``secret_keys.py``.
"""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Pattern:
    """A form of secret: the whole match, or its group ``secret``, where ``accepts`` agrees.

    ``hints`` are texts without which there is no match; none where the form has no constant part.
    """

    form: re.Pattern[str]
    hints: tuple[str, ...] = ()
    accepts: Callable[[str], bool] = bool

    def replace(self, text: str, replacement: str) -> str:
        """Return *text* with *replacement* for every secret of this form."""
        group = "secret" if "secret" in self.form.groupindex else 0

        def replaced(found: re.Match[str]) -> str:
            if found[group] in ("", replacement, replacement.strip("[]")) or not self.accepts(found[group]):
                return found[0]
            start, end = found.start(group) - found.start(), found.end(group) - found.start()
            return found[0][:start] + replacement + found[0][end:]

        return self.form.sub(replaced, text)


def _tokens(*prefixes: str, rest: str = r"[\w-]{16,}") -> Pattern:
    """Return the form of tokens that begin with one of *prefixes*; *rest* is how they go on."""
    return Pattern(re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(map(re.escape, prefixes))}){rest}", re.ASCII), prefixes)


def _is_card(text: str) -> bool:
    digits = [int(digit) for digit in text if digit.isdigit()]
    doubled = sum(sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (sum(digits[-1::-2]) + doubled) % 10 == 0


def _is_iban(text: str) -> bool:
    compact = text.replace(" ", "")
    return int("".join(str(int(letter, 36)) for letter in compact[4:] + compact[:4])) % 97 == 1


def _is_basic(text: str) -> bool:
    """Tell whether *text* is what follows "Basic" in a header, unlike in a sentence."""
    try:
        return b":" in b64decode(text + "=" * (-len(text) % 4), altchars=b"-_")
    except ValueError:
        return False


def _is_random(text: str) -> bool:
    """Tell whether *text* looks made by a machine, unlike the word that follows "bearer" in a sentence."""
    return len(text) >= 24 or any(letter.isdigit() for letter in text)


_CARD_BRANDS: Final = r"(?:4\d{3}|5[0-8]\d\d|2[2-7]\d\d|6\d{3}|3[0-9]\d\d)"

PATTERNS: Final = (
    Pattern(
        re.compile(r"(?<=-----BEGIN )(?P<secret>[A-Z0-9 ]{0,40}PRIVATE KEY[^-]*+-----[^-]*+(?:-----END[A-Z0-9 ]*+)?)"),
        ("PRIVATE KEY",),
    ),
    # user:password@host, where a port and a path are no password; and a key alone before the host.
    Pattern(
        re.compile(
            r"""://[^\s:/@"'<>]{0,256}:(?P<secret>(?!\d{1,5}/)[^\s"'<>@]{1,256}+(?:@[^\s"'<>@/]{1,256}+(?=@))*+)@"""
        ),
        ("://",),
    ),
    Pattern(re.compile(r"""://(?P<secret>[^\s:/@"'<>]{16,256}+)@"""), ("://",)),
    Pattern(re.compile(r"(?i)\bbearer\s{1,4}(?P<secret>[\w.~+/=-]{8,}+)"), ("earer", "EARER"), _is_random),
    Pattern(re.compile(r"(?i)\bbasic\s{1,4}(?P<secret>[\w+/=-]{6,}+)"), ("asic", "ASIC"), _is_basic),
    Pattern(re.compile(r"(?<=[ '\"]-u )\s{0,4}[^\s:'\"]{1,256}:(?P<secret>[^\s'\"]{1,256}+)"), (" -u ",)),
    Pattern(re.compile(r"(?i)(?<=signature=)[\w%+/=-]{16,}+"), ("ignature=",)),
    # AWS
    _tokens("AKIA", "ASIA", "ABIA", "ACCA", rest="[A-Z0-9]{16}(?![A-Za-z0-9])"),
    # GitHub, GitLab, npm, PyPI, Docker, Hugging Face, Databricks
    _tokens("ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "gldt-", "glrt-", "glptt-", "glcbt-"),
    _tokens("npm_", "dckr_pat_", "hf_", rest="[A-Za-z0-9-]{16,}"),
    _tokens("pypi-", rest=r"[\w-]{40,}"),
    _tokens("dapi", rest=r"[0-9a-f]{32}(?:-\d)?"),
    # Slack, Telegram, Discord
    _tokens("xoxa-", "xoxb-", "xoxe-", "xoxe.", "xoxo-", "xoxp-", "xoxr-", "xoxs-", "xapp-", rest=r"[\w.-]{10,}"),
    _tokens("hooks.slack.com/", rest=r"[\w/]{16,}"),
    Pattern(re.compile(r"(?<!\d)\d{8,10}:[A-Za-z0-9_-]{35}(?![\w-])"), (":",)),
    Pattern(re.compile(r"(?<![\w-])[MNO][\w-]{22,27}\.[\w-]{6,7}\.[\w-]{27,}+"), (".",)),
    # Stripe, Shopify, Square, SendGrid, Twilio, Mailgun
    _tokens("sk_live_", "sk_test_", "rk_live_", "rk_test_", "pk_live_", "pk_test_", "whsec_", rest=r"\w{10,}"),
    _tokens("shpat_", "shpca_", "shppa_", "shpss_", "sq0atp-", "sq0csp-"),
    _tokens("SG.", rest=r"[\w-]{16,}+\.[\w-]{16,}"),
    _tokens("AC", "SK", rest=r"[0-9a-f]{32}(?![0-9A-Za-z])"),
    _tokens("key-", rest=r"[0-9a-f]{32}(?![0-9A-Za-z])"),
    # OpenAI, Anthropic and their like
    _tokens("sk-", "xai-", "gsk_", "pplx-", "r8_", rest=r"(?=[A-Za-z_-]{0,80}\d)[\w-]{20,}"),
    # Google
    _tokens("AIza", rest=r"[\w-]{30,}"),
    _tokens("ya29.", "GOCSPX-", "1//0", rest=r"[\w.-]{16,}"),
    # Azure
    Pattern(re.compile(r"(?<![\w~.-])[\w~.-]{3}[78]Q~[\w~.-]{30,}"), ("Q~",)),
    # Vault, Grafana, DigitalOcean, Sentry, New Relic, Terraform, Linear, Notion, age
    _tokens(
        "hvs.", "hvb.", "glsa_", "glc_", "dop_v1_", "doo_v1_", "sntrys_", "NRAK-", "lin_api_", "ntn_", "pscale_tkn_"
    ),
    _tokens("AGE-SECRET-KEY-", rest="[0-9A-Z]{20,}"),
    # JWT, JWE
    _tokens("eyJ", rest=r"[\w-]{5,}+(?:\.[\w-]*+){1,4}"),
    # Cards, IBAN, social security, e-mail
    Pattern(
        re.compile(
            rf"(?<![A-Za-z0-9.-])(?:{_CARD_BRANDS}(?:\d{{9,12}}|\d{{15}})|{_CARD_BRANDS}([ -])\d{{4}}\1\d{{4}}\1\d{{4}}"
            r"|3[0-9]\d\d([ -])\d{6}\2\d{4,5})(?![A-Za-z0-9]|\.\d|-\d)"
        ),
        accepts=_is_card,
    ),
    Pattern(
        re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?:[A-Z0-9]{11,30}|(?: [A-Z0-9]{4}){2,7}(?: [A-Z0-9]{1,3})?)(?!\w)"),
        accepts=_is_iban,
    ),
    Pattern(re.compile(r"(?<![\w.-])(?!000|666|9)\d{3}-(?!00)\d\d-(?!0000)\d{4}(?![\w-]|\.\d)"), ("-",)),
    Pattern(re.compile(r"(?<![\w.+%-])(?!git@)[\w.+%-]++@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}"), ("@",)),
)
"""Ordered: what contains another (a URL with a token in it) comes first."""
