"""What Grafana shows: provisioning/ is read by it, dashboards/ holds each dashboard as Python and as generated JSON."""
