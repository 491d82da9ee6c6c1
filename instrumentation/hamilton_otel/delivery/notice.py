"""Says once, in one sentence, that telemetry cannot be delivered, in place of the exporters' many warnings.

Not for delivering anything.
"""

from __future__ import annotations

import logging
import re
from typing import Final

_EXPORTER_LOGGERS: Final = (
    "opentelemetry.exporter.otlp.proto.http.trace_exporter",
    "opentelemetry.exporter.otlp.proto.http.metric_exporter",
    "opentelemetry.exporter.otlp.proto.http._log_exporter",
    "opentelemetry.exporter.otlp.proto.grpc.exporter",
)
_logger = logging.getLogger("hamilton_otel")


class DeliveryNotice(logging.Filter):
    """Replaces what the OTLP exporters log by one warning that names *endpoint*."""

    def __init__(self, endpoint: str) -> None:
        super().__init__()
        self._endpoint = endpoint
        self._said = False

    def install(self) -> None:
        """Take the place of the exporters' own messages."""
        for name in _EXPORTER_LOGGERS:
            logging.getLogger(name).addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Drop the exporter's record; say our sentence the first time."""
        if record.levelno < logging.WARNING:
            return True
        if not self._said:
            self._said = True
            _logger.warning(
                "Telemetry cannot be delivered to %s (%s); start the Collector or correct OTEL_EXPORTER_OTLP_ENDPOINT. "
                "Runs are not affected, and this is said once.",
                self._endpoint,
                _reason(record.getMessage()),
            )
        return False


def _reason(message: str) -> str:
    """Return the telling part of an exporter's message: the innermost quoted error, else its beginning."""
    innermost = re.search(r"\[Errno -?\d+\] ([^\"')]+)", message)
    return innermost.group(1) if innermost else message[:200]
