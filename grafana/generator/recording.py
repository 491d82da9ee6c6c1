"""Names that the rules in prometheus/rules record; the tests compare them with the rules."""

from typing import Final

RUNS: Final = "hamilton:runs:increase1m"
RUN_BUCKETS: Final = "hamilton:run_duration_seconds_bucket:increase1m"
NODES: Final = "hamilton:nodes:increase1m"
NODE_COUNT: Final = "hamilton:node_duration_seconds_count:increase1m"
NODE_SUM: Final = "hamilton:node_duration_seconds_sum:increase1m"
LAST_SUCCESS: Final = "hamilton:last_success:time_seconds"
LOST_RUNS: Final = "hamilton:lost_runs"
OBJECTIVE: Final = "hamilton:success_objective:ratio"
BUDGET_LEFT: Final = "hamilton:error_budget:remaining_ratio"


def errors(window: str) -> str:
    """Return the name of the share of failed runs within *window* (5m, 30m, 1h, 2h, 6h, 1d, 3d, 30d)."""
    return f"hamilton:run_errors:ratio{window}"


def burn(window: str) -> str:
    """Return the name of the burn rate within *window*: 1 spends the budget in exactly thirty days."""
    return f"hamilton:error_budget:burn_rate{window}"
