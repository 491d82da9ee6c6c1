"""What user code inside a node may say about it; outside a node, or without telemetry, each call does nothing."""

from __future__ import annotations

from typing import Any

from . import current
from .guard import guard


def annotate(**attributes: Any) -> None:
    """Add attributes to the span of the node that is running.

    Values other than text, numbers and booleans become text; all text is shortened, without secrets. Outside a node
    nothing happens.

    .. code-block:: python

        def flights(path: str) -> pd.DataFrame:
            frame = pd.read_csv(path)
            hamilton_otel.annotate(rows_read=len(frame))
            return frame
    """
    with guard("annotate"):
        node = current.node()
        if node is not None:
            node.span.set_attributes(node.run.capture.attributes(attributes))


def record_retry(error: BaseException) -> None:
    """Count a retry of the node that is running, after *error*; call it from a retry library's hook.

    Outside a node nothing happens.
    """
    with guard("record_retry"):
        node = current.node()
        if node is not None:
            node.run.sinks.tell("node_retried", node, error)
