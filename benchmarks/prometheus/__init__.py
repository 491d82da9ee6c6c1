"""How Prometheus bears many DAGs: series, memory, disk, and the time of every rule and panel; not exactness."""
