"""What the servers say about themselves, as far as dashboards ask for it; the other names are in semconv."""

from typing import Final

METRICS: Final = frozenset(
    {
        "ALERTS",
        "alertmanager_notifications_failed_total",
        "jaeger_storage_badger_size_bytes_lsm",
        "jaeger_storage_badger_size_bytes_vlog",
        "loki_discarded_samples_total",
        "loki_distributor_lines_received_total",
        "otelcol_deltatocumulative_datapoints_total",
        "otelcol_deltatocumulative_streams_limit",
        "otelcol_deltatocumulative_streams_tracked",
        "otelcol_exporter_queue_capacity",
        "otelcol_exporter_queue_size",
        "otelcol_exporter_send_failed_log_records_total",
        "otelcol_exporter_send_failed_metric_points_total",
        "otelcol_exporter_send_failed_spans",
        "otelcol_exporter_send_failed_spans_total",
        "otelcol_exporter_sent_log_records_total",
        "otelcol_exporter_sent_metric_points_total",
        "otelcol_exporter_sent_spans_total",
        "otelcol_process_cpu_seconds_total",
        "otelcol_process_memory_rss",
        "otelcol_process_memory_rss_bytes",
        "otelcol_process_runtime_heap_alloc_bytes",
        "otelcol_receiver_accepted_log_records_total",
        "otelcol_receiver_accepted_metric_points_total",
        "otelcol_receiver_accepted_spans",
        "otelcol_receiver_accepted_spans_total",
        "otelcol_receiver_refused_log_records_total",
        "otelcol_receiver_refused_metric_points_total",
        "otelcol_receiver_refused_spans",
        "otelcol_receiver_refused_spans_total",
        "process_resident_memory_bytes",
        "prometheus_notifications_dropped_total",
        "prometheus_rule_evaluation_failures_total",
        "prometheus_rule_group_last_duration_seconds",
        "prometheus_tsdb_head_series",
        "prometheus_tsdb_storage_blocks_bytes",
        "scrape_duration_seconds",
        "up",
    }
)

LABELS: Final = frozenset({"error", "exporter", "integration", "reason", "rule_group"})
"""Labels of theirs that series are told apart by."""
