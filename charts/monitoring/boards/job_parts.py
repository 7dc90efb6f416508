"""The sections of the job's dashboard about what serves it: verifier, engines and Ray."""

from monitoring.boards.model import JOB, Chart, Query, Section, count, lines, of_job, rate


def _latency(share: float) -> Query:
    rates = f"rate(prorl_verifier_verify_seconds_bucket{{{JOB}}}[$__rate_interval])"
    expr = f"histogram_quantile({share}, sum by (le, verifier) ({rates}))"
    return Query(expr=expr, legend=f"p{share * 100:.0f} {{{{verifier}}}}")


VERIFIER = Section(
    title="Verifier",
    charts=(
        Chart(
            title="Verdicts per second",
            queries=(
                rate(
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
                count("prorl_verifier_worker_restarts_total", "workers replaced"),
                count("prorl_verifier_refused_batches_total", "batches refused"),
                count("prorl_verifier_infra_errors_total", "completions not judged"),
                count("prorl_verifier_canary_failures_total", "canaries judged wrongly"),
                count("prorl_verifier_canary_infra_errors_total", "canaries not judged"),
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


def _hit_rate() -> Query:
    found, asked = (
        f"sum(rate(prorl_engine_prefix_cache_{what}_tokens_total{{{JOB}}}[$__rate_interval]))"
        for what in ("hit", "queried")
    )
    return Query(expr=f"{found} / ({asked} > 0)", legend="hits")


ENGINES = Section(
    title="Engines",
    charts=(
        Chart(
            title="Requests in the engines",
            queries=(
                of_job("prorl_engine_requests_running", "{{engine}} running"),
                of_job("prorl_engine_requests_waiting", "{{engine}} waiting"),
            ),
            about="The coordinator asks each engine every 5 s. Its log says which engine has "
            "which number.",
        ),
        Chart(
            title="KV cache in use",
            queries=(of_job("prorl_engine_kv_cache_usage_ratio", "{{engine}}"),),
            unit="percentunit",
        ),
        Chart(
            title="Preemptions",
            queries=(count("prorl_engine_preemptions_total", "requests put back"),),
            about="The KV cache was full: what is put back is computed again. Fewer or shorter "
            "completions at once, or more rollout pods.",
        ),
        Chart(
            title="Prefix cache hit rate",
            queries=(_hit_rate(),),
            unit="percentunit",
            about="Share of the looked up prompt tokens. Each update of the weights empties the "
            "cache; the completions of a group share their prompt.",
        ),
        Chart(
            title="Tokens of the engines per second",
            queries=(
                rate("prorl_engine_prompt_tokens_total", "prompt"),
                rate("prorl_engine_generated_tokens_total", "generated"),
            ),
        ),
        Chart(
            title="GPU utilisation (where NVIDIA's exporter is scraped)",
            queries=(
                Query(
                    expr='DCGM_FI_DEV_GPU_UTIL{namespace="$namespace", pod=~"$job-.+"}',
                    legend="{{pod}} {{gpu}}",
                ),
            ),
            unit="percent",
        ),
    ),
)

RAY = Section(
    title="Ray",
    charts=(
        lines(
            "Nodes", "prorl_ray_nodes|{{state}}",
            about="One for the coordinator, each trainer pod and each rollout pod. Dead are those "
            "that this Ray cluster has lost; a new coordinator begins a new one.",
        ),
        lines(
            "Places and GPUs of actors", "prorl_ray_resources|{{resource}} {{state}}",
            about="A place is that of a learner rank or of an engine. Free ones for long: a pod "
            "is there, and nothing runs in it.",
        ),
        lines(
            "Object stores", "prorl_ray_object_store_bytes|{{state}}", unit="bytes",
            about="All nodes together. Batches travel in calls and weights apart, so that little "
            "of it is used.",
        ),
    ),
)  # fmt: skip
