"""Job: where its time goes, what runs, what is safe."""

from monitoring.boards.model import (
    JOB,
    MARKS,
    ONE_JOB,
    Board,
    Chart,
    Kind,
    Mark,
    Query,
    Section,
    lines,
    number,
    of_job,
)


def _rate(metric: str, legend: str, by: str = "") -> Query:
    total = f"sum{f' by ({by})' if by else ''} (rate({metric}{{{JOB}}}[$__rate_interval]))"
    return Query(expr=total, legend=legend)


def _count(metric: str, legend: str) -> Query:
    return Query(expr=f"sum(increase({metric}{{{JOB}}}[$__rate_interval]))", legend=legend)


def _latency(share: float) -> Query:
    rate = f"rate(prorl_verifier_verify_seconds_bucket{{{JOB}}}[$__rate_interval])"
    expr = f"histogram_quantile({share}, sum by (le, verifier) ({rate}))"
    return Query(expr=expr, legend=f"p{share * 100:.0f} {{{{verifier}}}}")


NOW = Section(
    title="Now",
    charts=(
        number("Phase", f"prorl_operator_job_phase{{{JOB}}}", legend="{{phase}}"),
        number(
            "Progress",
            f"prorl_operator_job_step{{{JOB}}} / prorl_operator_job_total_steps{{{JOB}}}",
            unit="percentunit",
        ),
        number(
            "Since the last step",
            f"time() - prorl_operator_job_step_timestamp_seconds{{{JOB}}}",
            unit="s",
        ),
        number(
            "Since the last checkpoint",
            f"time() - prorl_operator_job_checkpoint_timestamp_seconds{{{JOB}}}",
            unit="s",
        ),
        number("Restarts, for any reason", f"prorl_operator_job_restarts{{{JOB}}}"),
        number("Of them disruptions", f"prorl_operator_job_disruptions{{{JOB}}}"),
    ),
)
SPEED = Section(
    title="Where the time goes",
    charts=(
        Chart(
            title="Phases of a step",
            queries=(
                Query(
                    expr=f'prorl_phase_seconds{{{JOB}, phase=~"generate|learn|sync"}}',
                    legend="{{phase}}",
                ),
            ),
            unit="s",
            stacked=True,
            about="Judging goes on while others are generated, so it is not in the stack.",
        ),
        Chart(
            title="Step, and what runs beside it",
            queries=(
                Query(
                    expr=f'prorl_phase_seconds{{{JOB}, phase!~"generate|learn|sync"}}',
                    legend="{{phase}}",
                ),
            ),
            unit="s",
        ),
        lines(
            "Share of time that learners wait", "prorl_wait_for_batch", unit="percentunit",
            about="Above one half: more rollout pods, or rollout.maxStaleness 1.",
        ),
        Chart(
            title="Response tokens",
            queries=(
                of_job("prorl_tokens_per_second", "within steps"),
                _rate("prorl_tokens_total", "all the time"),
            ),
            unit="short",
        ),
        lines("Completions per second", "prorl_samples_per_second"),
    ),
)  # fmt: skip
PODS = Section(
    title="Roles and conditions",
    charts=(
        lines(
            "Pods", "prorl_operator_job_pods_ready|{{role}} ready",
            "prorl_operator_job_pods_desired|{{role}} wanted",
        ),
        lines(
            "Usable for the coordinator", "prorl_engines_usable|engines",
            "prorl_trainers_usable|learner ranks", "prorl_attempt|attempt of the coordinator",
        ),
        Chart(
            title="Conditions",
            queries=(of_job("prorl_operator_job_condition", "{{condition}}"),),
            kind=Kind.STATES,
            words=(("False", "gray"), ("True", "blue")),
        ),
        Chart(
            title="Losses",
            queries=(
                _count("prorl_engines_lost_total", "engines lost"),
                _count("prorl_learner_restarts_total", "learner group rebuilt"),
                _count("prorl_non_finite_steps_total", "steps not finite"),
                _count("prorl_guard_actions_total", "guard acted"),
                _count("prorl_tracker_records_lost_total", "tracker records lost"),
            ),
        ),
    ),
)  # fmt: skip
SAFETY = Section(
    title="Checkpoints and reference",
    charts=(
        Chart(
            title="Steps that a crash would cost",
            queries=(
                Query(
                    expr=f"prorl_step{{{JOB}}} - prorl_checkpoint_step{{{JOB}}}", legend="unsaved"
                ),
                of_job("prorl_checkpoint_interval_steps", "checkpoint.everySteps"),
            ),
        ),
        Chart(
            title="Age of the last checkpoint",
            queries=(
                Query(
                    expr=f"time() - prorl_checkpoint_timestamp_seconds{{{JOB}}}",
                    legend="coordinator",
                ),
            ),
            unit="s",
        ),
        lines("Size of a checkpoint", "prorl_checkpoint_bytes", unit="bytes"),
        lines(
            "As the operator knows them", "prorl_operator_job_checkpoint_step|checkpoint step",
            "prorl_operator_job_reference_version|reference version",
        ),
        Chart(
            title="Resets of the reference",
            queries=(_rate("prorl_reference_resets_total", "{{reason}}", "reason"),),
        ),
        Chart(
            title="Journal: finished groups",
            queries=(
                _count("prorl_journal_records_total", "written"),
                _count("prorl_journal_replayed_total", "not generated again"),
                _count("prorl_journal_dropped_total", "damaged"),
            ),
        ),
        Chart(
            title="Journal: bytes per second",
            queries=(_rate("prorl_journal_bytes_total", "written"),),
            unit="Bps",
        ),
    ),
)  # fmt: skip
VERIFIER = Section(
    title="Verifier",
    charts=(
        Chart(
            title="Verdicts per second",
            queries=(
                _rate(
                    "prorl_verifier_verdicts_total", "{{verifier}} {{outcome}}", "verifier, outcome"
                ),
            ),
        ),
        Chart(
            title="Time for one item", queries=(_latency(0.5), _latency(0.99)), unit="s"
        ),
        Chart(
            title="Queue",
            queries=(
                Query(expr=f"sum(prorl_verifier_queue_depth{{{JOB}}})", legend="items waiting"),
            ),
        ),
        Chart(
            title="Bodies in flight",
            queries=(
                Query(expr=f"sum(prorl_verifier_in_flight_bytes{{{JOB}}})", legend="bytes"),
            ),
            unit="bytes",
        ),
        Chart(
            title="Trouble",
            queries=(
                _count("prorl_verifier_worker_restarts_total", "workers replaced"),
                _count("prorl_verifier_refused_batches_total", "batches refused"),
                _count("prorl_verifier_infra_errors_total", "completions not judged"),
                _count("prorl_verifier_canary_failures_total", "canaries judged wrongly"),
                _count("prorl_verifier_canary_infra_errors_total", "canaries not judged"),
            ),
        ),
        Chart(
            title="Since all canaries were right",
            queries=(
                Query(
                    expr="time() - min("
                    f"prorl_verifier_canary_last_right_timestamp_seconds{{{JOB}}} > 0)",
                    legend="oldest pod",
                ),
            ),
            unit="s",
        ),
        Chart(
            title="Isolation and versions",
            queries=(
                Query(
                    expr="count by (prorl_verifier_isolation) "
                    f"(prorl_verifier_isolation{{{JOB}}} == 1)",
                    legend="pods {{prorl_verifier_isolation}}",
                ),
                Query(
                    expr=f"count by (version, dataset_hash) (prorl_verifier_info{{{JOB}}})",
                    legend="pods of {{version}} {{dataset_hash}}",
                ),
            ),
        ),
    ),
)  # fmt: skip
ENGINES = Section(
    title="Engines and GPUs (where Ray's and NVIDIA's exporters are scraped)",
    charts=(
        Chart(
            title="GPU utilisation",
            queries=(
                Query(
                    expr='DCGM_FI_DEV_GPU_UTIL{namespace="$namespace", pod=~"$job-.+"}',
                    legend="{{pod}} {{gpu}}",
                ),
            ),
            unit="percent",
        ),
        Chart(
            title="Requests in the engines",
            queries=(
                of_job("ray_vllm_num_requests_running", "running"),
                of_job("ray_vllm_num_requests_waiting", "waiting"),
            ),
        ),
        Chart(
            title="KV cache",
            queries=(of_job("ray_vllm_kv_cache_usage_perc", "{{pod}}"),),
            unit="percentunit",
        ),
    ),
)
JOB_BOARD = Board(
    uid="prorl-job",
    title="ProRL / Job",
    about="Where the time of a job goes, what runs, and what a crash would cost.",
    sections=(NOW, SPEED, PODS, SAFETY, VERIFIER, ENGINES),
    variables=ONE_JOB,
    marks=(
        *MARKS,
        Mark(
            name="Checkpoints",
            expr=f"changes(prorl_checkpoint_step{{{JOB}}}[$__rate_interval]) > 0",
            color="green",
            shown=False,
        ),
    ),
)
