"""Job: where its time goes, what runs, what is safe."""

from monitoring.boards.job_parts import ENGINES, RAY, VERIFIER
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
    count,
    lines,
    number,
    of_job,
    rate,
)

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
        number("Restarts", f"prorl_operator_job_restarts{{{JOB}}}"),
        number("Disruptions", f"prorl_operator_job_disruptions{{{JOB}}}"),
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
                rate("prorl_tokens_total", "all the time"),
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
        lines(
            "Faults", "prorl_operator_job_restarts|restarts",
            "prorl_operator_job_restarts_counted|of them charged to maxRestarts",
        ),
        Chart(
            title="Pods that something outside took",
            queries=(
                count(
                    "prorl_operator_job_pods_disrupted_total", "{{role}} {{reason}}", "role, reason"
                ),
            ),
        ),
        Chart(
            title="Losses",
            queries=(
                count("prorl_engines_lost_total", "engines lost"),
                count("prorl_learner_restarts_total", "learner group rebuilt"),
                count("prorl_non_finite_steps_total", "steps not finite"),
                count("prorl_guard_actions_total", "guard acted"),
                count("prorl_tracker_records_lost_total", "tracker records lost"),
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
            "Seconds of a checkpoint", "prorl_checkpoint_blocked_seconds|the loop waited",
            "prorl_checkpoint_write_seconds|then written", unit="s",
        ),
        lines(
            "As the operator knows them", "prorl_operator_job_checkpoint_step|checkpoint step",
            "prorl_operator_job_reference_version|reference version",
        ),
        Chart(
            title="Resets of the reference",
            queries=(count("prorl_reference_resets_total", "{{reason}}", "reason"),),
        ),
        Chart(
            title="Journal: finished groups",
            queries=(
                count("prorl_journal_records_total", "written"),
                count("prorl_journal_replayed_total", "not generated again"),
                count("prorl_journal_dropped_total", "damaged"),
            ),
        ),
        Chart(
            title="Journal: bytes per second",
            queries=(rate("prorl_journal_bytes_total", "written"),),
            unit="Bps",
        ),
    ),
)  # fmt: skip
JOB_BOARD = Board(
    uid="prorl-job",
    title="ProRL / Job",
    about="Where the time of a job goes, what runs, and what a crash would cost.",
    sections=(NOW, SPEED, PODS, SAFETY, VERIFIER, ENGINES, RAY),
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
