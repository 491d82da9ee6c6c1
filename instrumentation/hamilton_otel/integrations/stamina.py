"""Retries of stamina, counted for the node in which they happen.

.. code-block:: python

    import stamina
    from hamilton_otel.integrations.stamina import RetryHook

    stamina.instrumentation.set_on_retry_hooks([RetryHook])
"""

from __future__ import annotations

from stamina.instrumentation import RetryDetails, RetryHookFactory

from hamilton_otel.annotations import record_retry


def _on_retry(details: RetryDetails) -> None:
    record_retry(details.caused_by)


RetryHook = RetryHookFactory(hook_factory=lambda: _on_retry)
"""Give this to ``stamina.instrumentation.set_on_retry_hooks``, beside those that you want to keep."""
