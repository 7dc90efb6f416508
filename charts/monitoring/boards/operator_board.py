"""Operator: is it in charge, does it keep up, what does it ask of the API server?"""

from monitoring.boards.model import Board, Chart, Query, Section, number


def _chart(title: str, *queries: tuple[str, str], unit: str = "short") -> Chart:
    made = tuple(Query(expr=expr, legend=legend) for expr, legend in queries)
    return Chart(title=title, queries=made, unit=unit)


def _latency(share: float) -> tuple[str, str]:
    rate = "sum by (le) (rate(prorl_operator_reconcile_seconds_bucket[$__rate_interval]))"
    return f"histogram_quantile({share}, {rate})", f"p{share * 100:.0f}"


OPERATOR = Board(
    uid="prorl-operator",
    title="ProRL / Operator",
    about="The controller itself.",
    sections=(
        Section(
            title="Now",
            charts=(
                number("Leaders", "sum(prorl_operator_leader)", width=6),
                number("Jobs", "count(prorl_operator_job_step) or vector(0)", width=6),
                number(
                    "Since the last event of a watch",
                    "time() - max(prorl_operator_watch_event_timestamp_seconds > 0)",
                    unit="s",
                    width=6,
                ),
                number(
                    "Up for",
                    "time() - max(process_start_time_seconds"
                    " and on (instance) prorl_operator_leader == 1)",
                    unit="s",
                    width=6,
                ),
            ),
        ),
        Section(
            title="Work",
            charts=(
                _chart(
                    "Reconciles per second",
                    (
                        "sum by (result) (rate(prorl_operator_reconcile_total[$__rate_interval]))",
                        "{{result}}",
                    ),
                ),
                _chart("Time of a reconcile", _latency(0.5), _latency(0.99), unit="s"),
                _chart(
                    "Retries",
                    ("sum(increase(prorl_operator_retries_total[$__rate_interval]))", "retries"),
                ),
                _chart("Queue", ("sum(prorl_operator_workqueue_depth)", "jobs waiting")),
                _chart(
                    "Longest wait in the queue",
                    ("max(prorl_operator_workqueue_oldest_wait_seconds)", "wait"),
                    unit="s",
                ),
                _chart(
                    "API requests per second",
                    (
                        "sum by (verb, code)"
                        " (rate(prorl_operator_api_requests_total[$__rate_interval]))",
                        "{{verb}} {{code}}",
                    ),
                ),
            ),
        ),
        Section(
            title="Process",
            charts=(
                _chart(
                    "Memory",
                    (
                        "process_resident_memory_bytes and on (instance) prorl_operator_leader",
                        "resident",
                    ),
                    unit="bytes",
                ),
                _chart(
                    "CPU",
                    (
                        "rate(process_cpu_seconds_total[$__rate_interval])"
                        " and on (instance) prorl_operator_leader",
                        "cores",
                    ),
                ),
                _chart(
                    "Open files",
                    ("process_open_fds and on (instance) prorl_operator_leader", "open"),
                ),
            ),
        ),
    ),
)  # fmt: skip
