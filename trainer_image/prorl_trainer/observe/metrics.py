"""The coordinator's Prometheus metrics. Names: one prefix, base units, no unbounded labels."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge

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
    "kept_ratio": "Share of the generated groups that carried a signal.",
    "reference_version": "Number of reference resets so far.",
    "checkpoint_step": "Step of the last durable checkpoint.",
    "checkpoint_bytes": "Size of the last durable checkpoint.",
    "engines_usable": "Engines that can be used now.",
    "trainers_usable": "Learner ranks that can be used now.",
    "accuracy": "Held-out accuracy, mean over the validation sets.",
}
COUNTERS = {
    "tokens": "Response tokens generated.",
    "verifier_infra_errors": "Completions that the verifier could not judge.",
    "learner_restarts": "Times the learner group was rebuilt.",
    "engines_lost": "Engines lost.",
    "tracker_records_lost": "Records that a tracker of spec.tracking did not take.",
}


class Metrics:
    """All metrics of one coordinator."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._gauges = {
            name: Gauge(f"prorl_{name}", text, registry=self.registry)
            for name, text in GAUGES.items()
        }
        self._counters = {
            name: Counter(f"prorl_{name}", text, registry=self.registry)
            for name, text in COUNTERS.items()
        }
        self._rewards = Gauge(
            "prorl_domain_reward_mean",
            "Mean raw reward of the last step, by domain.",
            ["domain"],
            registry=self.registry,
        )
        self._phases = Gauge(
            "prorl_phase_seconds",
            "Duration of the last step's phases.",
            ["phase"],
            registry=self.registry,
        )

    def record(self, values: Mapping[str, float]) -> None:
        """Sets the gauges of the given names; others (per domain, phases) by their prefix."""
        for name, value in values.items():
            if name in self._gauges:
                self._gauges[name].set(value)
            elif name.startswith("reward_mean_"):
                self._rewards.labels(name.removeprefix("reward_mean_")).set(value)
            elif name.endswith("_seconds"):
                self._phases.labels(name.removesuffix("_seconds")).set(value)

    def count(self, name: str, amount: float = 1) -> None:
        """Adds to a counter."""
        self._counters[name].inc(amount)
