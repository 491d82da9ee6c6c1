"""Gets telemetry out of the process: what is said when it fails, the early word of a run's start, the bounded exit."""
