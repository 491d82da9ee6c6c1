import logging

import pytest
from hamilton_otel.delivery.notice import DeliveryNotice


def test_the_exporters_warnings_become_one_sentence(caplog: pytest.LogCaptureFixture) -> None:
    """The endpoint and the innermost reason are said once; the exporter's own lines are dropped."""
    exporter = logging.getLogger("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    notice = DeliveryNotice("http://127.0.0.1:9")
    notice.install()
    try:
        for _ in range(3):
            exporter.warning('Transient error NewConnectionError("...: [Errno 111] Connection refused") encountered')
    finally:
        exporter.removeFilter(notice)
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("Telemetry cannot be delivered to http://127.0.0.1:9 (Connection refused);")
