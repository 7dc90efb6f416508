"""Fleet: all jobs of the chosen namespaces."""

from monitoring.boards.model import Board, Chart, Kind, Query, Section, Variable, number

SPACE = 'namespace=~"$namespace"'
NAME = "{{namespace}}/{{prorl_job}}"


def _jobs(title: str, expr: str, unit: str = "short", about: str = "") -> Chart:
    """A line per job; `SPACE` in the query stands for the chosen namespaces."""
    query = Query(expr=expr.replace("SPACE", SPACE), legend=NAME)
    return Chart(title=title, queries=(query,), unit=unit, about=about)


def _phase(title: str, phases: str) -> Chart:
    selector = f'{SPACE}, phase=~"{phases}"'
    return number(title, f"count(prorl_operator_job_phase{{{selector}}}) or vector(0)", width=6)


def _column(name: str, expr: str) -> Query:
    return Query(
        expr=f"sum by (namespace, prorl_job) ({expr.replace('SPACE', SPACE)})", legend=name
    )


NOW = Section(
    title="Now",
    charts=(
        _phase("Running", "Running"),
        _phase("Waiting or recovering", "Pending|Starting|Recovering"),
        _phase("Suspended", "Suspending|Suspended"),
        _phase("Failed", "Failed"),
        Chart(
            title="Jobs",
            kind=Kind.TABLE,
            width=24,
            queries=(
                _column("step", "prorl_operator_job_step{SPACE}"),
                _column("of", "prorl_operator_job_total_steps{SPACE}"),
                _column("reward", "prorl_reward_mean{SPACE}"),
                _column("tokens/s", "prorl_tokens_per_second{SPACE}"),
                _column("restarts", "prorl_operator_job_restarts{SPACE}"),
                _column("signals", "prorl_health_level{SPACE} > bool 0"),
            ),
        ),
    ),
)
OVER_TIME = Section(
    title="Progress",
    charts=(
        Chart(
            title="Jobs by phase",
            queries=(
                Query(
                    expr=f"count by (phase) (prorl_operator_job_phase{{{SPACE}}})",
                    legend="{{phase}}",
                ),
            ),
            stacked=True,
        ),
        _jobs("Steps per hour", "3600 * deriv(prorl_operator_job_step{SPACE}[15m])"),
        _jobs("Reward", "prorl_reward_mean{SPACE}"),
        _jobs("Tokens per second", "prorl_tokens_per_second{SPACE}"),
        _jobs(
            "Learners waiting", "prorl_wait_for_batch{SPACE}", "percentunit",
            "GPUs that hold a learner and do nothing for this share of the time.",
        ),
        _jobs("Worst health level", "max by (namespace, prorl_job) (prorl_health_level{SPACE})"),
    ),
)  # fmt: skip
TROUBLE = Section(
    title="Trouble",
    charts=(
        _jobs(
            "Pods that are lacking",
            "sum by (namespace, prorl_job) (prorl_operator_job_pods_desired{SPACE})"
            " - sum by (namespace, prorl_job) (prorl_operator_job_pods_ready{SPACE})",
        ),
        _jobs("Restarts that were charged", "prorl_operator_job_restarts_counted{SPACE}"),
        _jobs("Disruptions", "prorl_operator_job_disruptions{SPACE}"),
        Chart(
            title="Pods that were taken, by what took them",
            queries=(
                Query(
                    expr="sum by (role, reason) (increase("
                    f"prorl_operator_job_pods_disrupted_total{{{SPACE}}}[$__rate_interval]))",
                    legend="{{role}} {{reason}}",
                ),
            ),
            about="Evictions, preemptions, lost nodes, deletions: docs/lifecycle.md.",
        ),
        _jobs(
            "Age of the last checkpoint",
            "time() - prorl_operator_job_checkpoint_timestamp_seconds{SPACE}",
            "s",
        ),
        Chart(
            title="GPU utilisation (where NVIDIA's exporter is scraped)",
            queries=(
                Query(
                    expr=f"avg by (namespace) (DCGM_FI_DEV_GPU_UTIL{{{SPACE}}})",
                    legend="{{namespace}}",
                ),
            ),
            unit="percent",
        ),
    ),
)
FLEET = Board(
    uid="prorl-fleet",
    title="ProRL / Fleet",
    about="All jobs: what runs, what waits, what is wasted, what fails.",
    sections=(NOW, OVER_TIME, TROUBLE),
    variables=(
        Variable(
            name="namespace", query="label_values(prorl_operator_job_step, namespace)", all=True
        ),
    ),
)
