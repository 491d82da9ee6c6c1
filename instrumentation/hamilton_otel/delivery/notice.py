"""Says once, in one sentence, that telemetry cannot be delivered, in place of the exporters' many warnings.

Not for delivering anything.
"""

from __future__ import annotations

import logging
import re
from typing import Final

from hamilton_otel.guard import guard

_EXPORTER_LOGGERS: Final = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "opentelemetry.exporter.otlp.proto.http._log_exporter",
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
)
_MENDS: Final = (
    (re.compile(r"\b40[13]\b|UNAUTHENTICATED|PERMISSION_DENIED"), "correct the token in OTEL_EXPORTER_OTLP_HEADERS"),
    (re.compile(r"certificate|SSL|TLS", re.I), "correct OTEL_EXPORTER_OTLP_CERTIFICATE or the endpoint's scheme"),
)
_logger = logging.getLogger("hamilton_otel")


class DeliveryNotice(logging.Filter):
    """One warning that names *endpoint*, and *spool* (a path, None where there is none) for what is kept."""

    def __init__(self, endpoint: str, spool: str | None) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._kept = f"undelivered telemetry is kept in {spool}" if spool else "undelivered telemetry is lost"
        self._said = False
        self._exporters_word = ""

    def install(self) -> None:
        """Take the place of the exporters' own messages."""
        for name in _EXPORTER_LOGGERS:
            logging.getLogger(name).addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Drop what an exporter logs of a failure; :meth:`say` may need its words."""
        if record.levelno < logging.WARNING:
            return True
        self._exporters_word = record.getMessage()
        return False

    def say(self, reason: str) -> None:
        """Say it, unless that has been done; *reason* is empty where only the exporter knows it."""
        if self._said:
            return
        self._said = True
        reason = _telling_part(reason or self._exporters_word)
        mend = next(
            (mend for pattern, mend in _MENDS if pattern.search(reason)),
            "start the Collector or correct OTEL_EXPORTER_OTLP_ENDPOINT",
        )
        with guard("notice"):  # the user's logging handlers may raise
            self._warn(reason, mend)

    def _warn(self, reason: str, mend: str) -> None:
        _logger.warning(
            "Telemetry cannot be delivered to %s (%s); %s. Runs are not affected, %s, and this is said once.",
            self._endpoint,
            reason,
            mend,
            self._kept,
        )


def _telling_part(message: str) -> str:
    """Return the innermost quoted error of a message, else its beginning."""
    innermost = re.search(r"\[Errno -?\d+\] ([^\"')]+)|(certificate verify failed[^(\"']*)", message)
    return (innermost.group(1) or innermost.group(2)).strip() if innermost else message[:200]
