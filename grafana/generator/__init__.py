"""Turns the Python of grafana/dashboards into Grafana's JSON; knows the signals' names and no single dashboard."""
