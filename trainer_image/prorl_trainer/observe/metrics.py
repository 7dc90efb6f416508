"""The coordinator's Prometheus metrics. Names: one prefix, base units, no unbounded labels."""

import re
from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics

from prorl_trainer.algo.signals import BOUNDS
from prorl_trainer.observe.engine_metrics import EngineMetrics
from prorl_trainer.observe.ray_metrics import RayMetrics

disable_created_metrics()  # one more series per counter, which nobody reads

GAUGES = {
    "step": "Finished RL steps.",
    "loss": "Loss of the last step.",
    "grad_norm": "Gradient norm before clipping, mean over the updates of the last step.",
    "kl": "k2 KL to the reference before the last step's first update, nats per token.",
    "kl_k1": "k1 KL to the reference before the last step's first update, nats per token.",
    "entropy": "Estimated entropy of the policy, nats per token.",
    "clip_fraction_low": "Share of tokens at the lower clip.",
    "clip_fraction_high": "Share of tokens at the upper clip.",
    "clip_fraction_dual": "Share of tokens at the dual clip.",
    "ppo_kl": "KL from the old to the current policy within the step, nats per token.",
    "mismatch": "Mean |log-prob of the trainer - log-prob of the engine| per token.",
    "mismatch_max": "Largest of these differences in the last step.",
    "token_mult_prob_error": "Mean exp of |log-prob of the trainer - log-prob of the engine|.",
    "gen_kl": "k3 KL from the engine's policy to the trainer's, nats per token.",
    "is_weight_mean": "Mean probability ratio of trainer to engine, before any bound.",
    "is_oob_ratio": "Share of tokens that the bounds of mismatchCorrection change or drop.",
    "reward_mean": "Mean raw reward of the last step's completions.",
    "trained_reward_mean": "Mean raw reward of the sequences that the last step trained on.",
    "shaped_reward_mean": "Mean reward of the same sequences after the length terms.",
    "response_tokens_mean": "Mean response length of the last step, tokens.",
    "truncated_ratio": "Share of completions that reached maxResponseTokens.",
    "rounds": "Generation rounds of the last step.",
    "all_correct_ratio": "Share of the groups without a wrong answer.",
    "all_wrong_ratio": "Share of the groups without a right answer, even a partial one.",
    "unjudged_ratio": "Share of completions that the verifier could not judge.",
    "reward_std": "Standard deviation of the raw rewards of the last step's completions.",
    "shaped_reward_std": "The same of what was trained on, after the length terms.",
    "prob_difference": "Mean |probability by the trainer - probability by the engine| per token.",
    "is_weight_std": "Standard deviation of the probability ratio of trainer to engine.",
    "is_ess": "Effective share of the tokens under these ratios as weights.",
    "is_chi2": "chi² of these ratios.",
    "kept_ratio": "Share of the generated groups that carried a signal.",
    "staleness_mean": "Mean age of the last step's tokens, in versions of the weights.",
    "staleness_max": "Greatest age of the last step's tokens, in versions of the weights.",
    "stale_dropped": "Completions of the last step that were too old to learn from.",
    "surplus_dropped": "Groups with a signal that the last step had to draw again later.",
    "carried": "Groups that wait for the next step.",
    "reference_version": "Number of reference resets so far.",
    "checkpoint_step": "Step of the last durable checkpoint.",
    "checkpoint_interval_steps": "spec.checkpoint.everySteps.",
    "checkpoint_bytes": "Size of the last durable checkpoint.",
    "checkpoint_blocked_seconds": "How long the loop waited for the last durable checkpoint.",
    "checkpoint_write_seconds": "How long it was written after that, behind the loop's back.",
    "checkpoint_timestamp_seconds": "Unix time of the last durable checkpoint.",
    "attempt": "How often a coordinator has begun or resumed the run.",
    "samples_per_second": "Completions per second of the last step, publication not counted.",
    "tokens_per_second": "Response tokens per second of the last step, likewise.",
    "wait_for_batch": "Share of that time in which the learners waited for their groups.",
    "engines_usable": "Engines that can be used now.",
    "trainers_usable": "Learner ranks that can be used now.",
    "accuracy": "Held-out accuracy, mean over the validation sets.",
}
LEVEL = re.compile(r"health_(.+)")
LABELLED = {
    re.compile(pattern): about
    for pattern, about in {
        r"reward_mean_(.+)": (
            "domain_reward_mean", "domain", "Mean raw reward of the last step, by domain.",
        ),
        r"reward_std_(.+)": (
            "domain_reward_std", "domain", "Standard deviation of these rewards, by domain.",
        ),
        r"shaped_reward_mean_(.+)": (
            "domain_shaped_reward_mean", "domain",
            "Mean reward of what was trained on, after the length terms, by domain.",
        ),
        r"shaped_reward_std_(.+)": (
            "domain_shaped_reward_std", "domain", "Standard deviation of these, by domain.",
        ),
        r"accuracy_domain_(.+)": (
            "domain_accuracy", "domain", "Held-out accuracy, mean over the sets of a domain.",
        ),
        r"pass_at_(\d+)": ("pass_at_k", "k", "Held-out pass@k, mean over the validation sets."),
        LEVEL.pattern: (
            "health_level", "signal", "Level of a health signal: 0 ok, 1 warn, 2 alert.",
        ),
        r"(.+)_seconds": ("phase_seconds", "phase", "Duration of the last step's phases."),
    }.items()
}  # fmt: skip
"""What is matched by a metric's name -> name of the gauge, its label, and its text."""
SIGNALS = frozenset(bound.signal for bound in BOUNDS)
COUNTERS = {
    "tokens": "Response tokens generated.",
    "verifier_infra_errors": "Completions that the verifier could not judge.",
    "learner_restarts": "Times the learner group was rebuilt.",
    "engines_lost": "Engines lost.",
    "tracker_records_lost": "Records that a tracker of spec.tracking did not take.",
    "non_finite_steps": "Steps whose loss or gradient was not finite; their updates were skipped.",
    "guard_actions": "Pauses and rollbacks by spec.guard.",
    "journal_records": "Finished groups that were written to the journal.",
    "journal_bytes": "Bytes that were written to the journal.",
    "journal_replayed": "Groups that were taken from the journal and not generated again.",
    "journal_dropped": "Groups and files of the journal that were damaged; they are drawn again.",
}


class Metrics:
    """All metrics of one coordinator."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._gauges: dict[str, Gauge] = {}
        self._counters = {
            name: Counter(f"prorl_{name}", text, registry=self.registry)
            for name, text in COUNTERS.items()
        }
        self._labelled = {
            rule: Gauge(f"prorl_{name}", text, [label], registry=self.registry)
            for rule, (name, label, text) in LABELLED.items()
        }
        self._resets = Counter(
            "prorl_reference_resets", "Resets of the reference, by their reason.", ["reason"],
            registry=self.registry,
        )  # fmt: skip
        self._health = Gauge(
            "prorl_health_value", "Value of a health signal.", ["signal"], registry=self.registry
        )
        self._step_signals: frozenset[str] = frozenset()
        self.engines = EngineMetrics(self.registry)
        self.ray = RayMetrics(self.registry)

    def step(self, values: Mapping[str, float]) -> None:
        """Those of a finished step. A signal that this one cannot tell is not exported any more:
        after a reset there is no kl_ratio for a while, and the last one was a spike."""
        signals = SIGNALS & values.keys()
        for gone in self._step_signals - signals:
            self._health.remove(gone)
            self._labelled[LEVEL].remove(gone)
        self._step_signals = signals
        self.record(values)

    def record(self, values: Mapping[str, float]) -> None:
        """Sets the gauges of the given names; others (per domain, phases) by their prefix."""
        for name, value in values.items():
            if name in SIGNALS:
                self._health.labels(name).set(value)
            if name in GAUGES:
                self._gauge(name).set(value)
            elif found := next((r for r in LABELLED if r.fullmatch(name)), None):
                label = found.fullmatch(name)
                assert label is not None
                self._labelled[found].labels(label[1]).set(value)

    def _gauge(self, name: str) -> Gauge:
        """Exported from its first value on: until then 0 would be read as one."""
        if name not in self._gauges:
            text = GAUGES[name]
            self._gauges[name] = Gauge(f"prorl_{name}", text, registry=self.registry)
        return self._gauges[name]

    def count_reset(self, reason: str) -> None:
        """The reference was reset."""
        self._resets.labels(reason).inc()

    def count(self, name: str, amount: float = 1) -> None:
        """Adds to a counter."""
        self._counters[name].inc(amount)
