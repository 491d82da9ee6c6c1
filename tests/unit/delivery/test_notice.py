import logging

import pytest
from hamilton_otel.delivery.notice import DeliveryNotice

REFUSED = 'Transient error NewConnectionError("...: [Errno 111] Connection refused") encountered'


def test_the_exporters_warnings_become_one_sentence(caplog: pytest.LogCaptureFixture) -> None:
    """Endpoint, innermost reason and spool are said once; the exporter's own lines are dropped."""
    exporter = logging.getLogger("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    notice = DeliveryNotice("http://127.0.0.1:9", "/spool")
    notice.install()
    try:
        for _ in range(3):
            exporter.warning(REFUSED)
            notice.say("")
    finally:
        exporter.removeFilter(notice)
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("Telemetry cannot be delivered to http://127.0.0.1:9 (Connection refused);")
    assert "kept in /spool" in message


@pytest.mark.parametrize(
    ("reason", "setting"),
    [
        (REFUSED, "OTEL_EXPORTER_OTLP_ENDPOINT"),
        ("401 Unauthorized", "OTEL_EXPORTER_OTLP_HEADERS"),
        ("StatusCode.UNAUTHENTICATED", "OTEL_EXPORTER_OTLP_HEADERS"),
        ("SSLError(SSLCertVerificationError(1, '[SSL] certificate verify failed: x'", "OTEL_EXPORTER_OTLP_CERTIFICATE"),
    ],
)
def test_the_mend_fits_the_reason(reason: str, setting: str, caplog: pytest.LogCaptureFixture) -> None:
    """The sentence names the setting that is wrong."""
    DeliveryNotice("http://here", None).say(reason)
    assert setting in caplog.records[0].getMessage()
