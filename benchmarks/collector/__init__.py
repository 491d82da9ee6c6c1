"""How much telemetry the Collector takes on one core: `python -m benchmarks.collector`."""
