"""Telemetry health: whether the other dashboards can be trusted, from the pipelines' processes to the stores."""

from hamilton_otel import semconv

from grafana.generator.page import Page, Row, environment, fired_alerts, service
from grafana.generator.panels import BAD, GOOD, NONE_IS_GOOD, SO_SO, over_time, stat
from grafana.generator.promql import ANY_SERVICE, JOB, STEP, Scope, count, label, legend, or_zero, rate, total
from grafana.generator.queries import Query, now
from grafana.generator.queries import over_time as series

MINUTE = "1m"
SIGNAL = label(semconv.SIGNAL)
REASON = label(semconv.REASON)
INSTRUMENT = label(semconv.INSTRUMENT)
COLLECTOR = Scope((f'{JOB}="collector"',))
JAEGER = Scope((f'{JOB}="jaeger"',))
SERVERS = "prometheus|loki|alertmanager"
SIGNALS = (("spans", "spans"), ("metric_points", "metric points"), ("log_records", "log records"))


def _all_signals(kind: str) -> str:
    """Return the sum over the Collector's counters of that kind, of all signals."""
    return " + ".join(
        f"(sum({count(COLLECTOR(f'otelcol_{kind}_{signal}_total'))}) or vector(0))" for signal, _ in SIGNALS
    )


def _by_signal(kind: str) -> list[Query]:
    return [series(total(rate(COLLECTOR(f"otelcol_{kind}_{signal}_total"))), name) for signal, name in SIGNALS]


HEALTH = Row(
    "Is anything lost?",
    [
        stat(
            "Servers down",
            "Targets that Prometheus cannot scrape.",
            "short",
            now("count(up == 0) or vector(0)"),
            steps=NONE_IS_GOOD,
        ),
        stat(
            "Dropped by pipelines",
            "Spans, log records and metric points that the pipelines' own processes gave up within the time range.",
            "short",
            now(or_zero(total(count(ANY_SERVICE(semconv.TELEMETRY_DROPPED))))),
            steps=NONE_IS_GOOD,
        ),
        stat(
            "Waiting in spools",
            "Items that could not be sent and have not been replayed, as far as their processes could tell.",
            "short",
            now(
                f"clamp_min(({total(count(ANY_SERVICE(semconv.TELEMETRY_SPOOLED)))} or vector(0)) - "
                f"({total(count(ANY_SERVICE(semconv.TELEMETRY_REPLAYED)))} or vector(0)), 0)"
            ),
            steps=((None, GOOD), (1, SO_SO)),
        ),
        stat(
            "Refused by the Collector",
            "Items that the Collector sent back because it was short of memory; their senders try again.",
            "short",
            now(_all_signals("receiver_refused")),
            steps=((None, GOOD), (1, SO_SO)),
        ),
        stat(
            "Failed sends",
            "Items that the Collector could not hand to Jaeger or Loki; what its queue holds is tried again.",
            "short",
            now(_all_signals("exporter_send_failed")),
            steps=NONE_IS_GOOD,
        ),
        stat(
            "Swallowed errors",
            "Errors inside the instrumentation that were kept from the user's run; each one is a defect to report.",
            "short",
            now(or_zero(total(count(ANY_SERVICE(semconv.TELEMETRY_ERRORS))))),
            steps=NONE_IS_GOOD,
        ),
    ],
)

PROCESSES = Row(
    "The pipelines' processes",
    [
        over_time(
            "Exports",
            "Requests to the Collector, by signal and outcome.",
            "short",
            series(
                total(count(ANY_SERVICE(semconv.TELEMETRY_EXPORTS), STEP), SIGNAL, label(semconv.OUTCOME)),
                f"{legend(SIGNAL)} {legend(label(semconv.OUTCOME))}",
                interval=MINUTE,
            ),
            bars=True,
            stacked=True,
            width=8,
        ),
        over_time(
            "Time of an export",
            "Mean time that a request to the Collector takes.",
            "s",
            series(
                f"{total(rate(ANY_SERVICE(semconv.TELEMETRY_EXPORT_TIME)), SIGNAL)} / "
                f"({total(rate(ANY_SERVICE(semconv.TELEMETRY_EXPORTS)), SIGNAL)} > 0)",
                legend(SIGNAL),
                interval=MINUTE,
            ),
            width=8,
        ),
        over_time(
            "Dropped, spooled, replayed, rejected",
            "What did not go the straight way. Dropped and rejected items are lost, spooled ones come later.",
            "short",
            *(
                series(total(count(ANY_SERVICE(metric), STEP), SIGNAL), f"{name} {legend(SIGNAL)}", interval=MINUTE)
                for metric, name in (
                    (semconv.TELEMETRY_DROPPED, "dropped"),
                    (semconv.TELEMETRY_SPOOLED, "spooled"),
                    (semconv.TELEMETRY_REPLAYED, "replayed"),
                    (semconv.TELEMETRY_REJECTED, "rejected"),
                )
            ),
            bars=True,
            width=8,
        ),
        over_time(
            "Why it was dropped",
            "Dropped items by reason.",
            "short",
            series(total(count(ANY_SERVICE(semconv.TELEMETRY_DROPPED), STEP), REASON), legend(REASON), interval=MINUTE),
            bars=True,
        ),
        over_time(
            "Too many series",
            "Measurements counted without their attributes, because a metric has more sets of them than its limit.",
            "short",
            series(
                total(count(ANY_SERVICE(semconv.TELEMETRY_OVERFLOWED), STEP), INSTRUMENT),
                legend(INSTRUMENT),
                interval=MINUTE,
            ),
            bars=True,
        ),
    ],
)

COLLECTORS = Row(
    "Collector",
    [
        over_time("Accepted", "Items a second that came in.", "cps", *_by_signal("receiver_accepted"), width=8),
        over_time(
            "Refused",
            "Items a second that were sent back for want of memory.",
            "cps",
            *_by_signal("receiver_refused"),
            steps=((None, BAD),),
            width=8,
        ),
        over_time("Sent", "Items a second that went to Jaeger and Loki.", "cps", *_by_signal("exporter_sent"), width=8),
        over_time(
            "Queues",
            "How full the queues to Jaeger and Loki are; they are on disk and survive a restart.",
            "percentunit",
            series(
                f"max by (exporter) ({COLLECTOR('otelcol_exporter_queue_size')} / "
                f"{COLLECTOR('otelcol_exporter_queue_capacity')})",
                legend("exporter"),
            ),
            most=1,
            width=8,
        ),
        over_time(
            "Memory",
            "Resident memory.",
            "bytes",
            series(COLLECTOR("otelcol_process_memory_rss_bytes"), "resident"),
            series(COLLECTOR("otelcol_process_runtime_heap_alloc_bytes"), "heap"),
            width=8,
        ),
        over_time(
            "CPU",
            "Cores in use.",
            "short",
            series(rate(COLLECTOR("otelcol_process_cpu_seconds_total")), "cores"),
            width=8,
        ),
        over_time(
            "Counters in memory",
            "Series that the Collector adds up, against its limit; beyond it counts are lost.",
            "short",
            series(
                f"sum({COLLECTOR('otelcol_deltatocumulative_streams_tracked')})",
                "tracked",
            ),
            series(f"max({COLLECTOR('otelcol_deltatocumulative_streams_limit')})", "limit"),
        ),
        over_time(
            "Points that could not be added",
            "Points of counters that came out of order or beyond the limit, by reason.",
            "cps",
            series(
                f"sum by (error) ({rate(COLLECTOR('otelcol_deltatocumulative_datapoints_total'))})", legend("error")
            ),
        ),
    ],
)

STORES = Row(
    "Prometheus, Loki, Jaeger, Alertmanager",
    [
        over_time(
            "Scrapes", "Time that each scrape took.", "s", series("scrape_duration_seconds", legend(JOB)), width=8
        ),
        over_time(
            "Targets",
            "1 where Prometheus can scrape the server.",
            "short",
            series("up", legend(JOB)),
            most=1,
            width=8,
        ),
        over_time(
            "Resident memory",
            "Memory of each server.",
            "bytes",
            series(Scope((f'{JOB}=~"{SERVERS}"',))("process_resident_memory_bytes"), legend(JOB)),
            series(COLLECTOR("otelcol_process_memory_rss_bytes"), "collector"),
            series(JAEGER("otelcol_process_memory_rss"), "jaeger"),
            width=8,
        ),
        over_time(
            "Series in Prometheus",
            "Series in its memory.",
            "short",
            series("prometheus_tsdb_head_series", "series"),
            width=8,
        ),
        over_time(
            "Rules",
            "Time of each group's last evaluation, and evaluations that failed.",
            "s",
            series("sum by (rule_group) (prometheus_rule_group_last_duration_seconds)", legend("rule_group")),
            series(
                f"sum({count('prometheus_rule_evaluation_failures_total', STEP)})",
                "failed evaluations",
                interval=MINUTE,
            ),
            width=8,
        ),
        over_time(
            "Size on disk",
            "Blocks of Prometheus; keys and values of Jaeger's store. Loki does not tell.",
            "bytes",
            series("prometheus_tsdb_storage_blocks_bytes", "prometheus"),
            series(
                "sum by (job) (jaeger_storage_badger_size_bytes_lsm + jaeger_storage_badger_size_bytes_vlog)",
                legend(JOB),
            ),
            width=8,
        ),
        over_time(
            "Lines into Loki",
            "Lines a second that Loki took, and lines that it discarded, by reason.",
            "cps",
            series(total(rate("loki_distributor_lines_received_total")), "received"),
            series(f"sum by (reason) ({rate('loki_discarded_samples_total')})", f"discarded: {legend('reason')}"),
            width=8,
        ),
        over_time(
            "Spans into Jaeger",
            "Spans a second that Jaeger took, refused, and could not store.",
            "cps",
            *(
                series(total(rate(JAEGER(name))), shown)
                for name, shown in (
                    ("otelcol_receiver_accepted_spans", "accepted"),
                    ("otelcol_receiver_refused_spans", "refused"),
                    ("otelcol_exporter_send_failed_spans", "not stored"),
                )
            ),
            width=8,
        ),
        over_time(
            "Notifications",
            "Alerts that Prometheus could not hand over, and notifications that Alertmanager could not send.",
            "short",
            series(f"sum({count('prometheus_notifications_dropped_total', STEP)})", "dropped", interval=MINUTE),
            series(
                f"sum by (integration) ({count('alertmanager_notifications_failed_total', STEP)}) > 0",
                legend("integration"),
                interval=MINUTE,
            ),
            bars=True,
            width=8,
        ),
    ],
)

EXPORTS = semconv.TELEMETRY_EXPORTS.prometheus_name

PAGE = Page(
    "telemetry",
    "Telemetry health",
    "Whether the other dashboards can be trusted: what was dropped, refused or delayed, and how the servers are.",
    rows=[HEALTH, PROCESSES, COLLECTORS, STORES],
    variables=[environment(EXPORTS), service(EXPORTS)],
    annotations=[fired_alerts()],
    since="now-6h",
)
