"""Training health: is the policy learning, and will it go on doing so?"""

from monitoring.boards.model import (
    JOB,
    MARKS,
    ONE_JOB,
    Board,
    Chart,
    Kind,
    Query,
    Section,
    lines,
    number,
    of_job,
)

NOW = Section(
    title="Now",
    charts=(
        number("Step", f"prorl_step{{{JOB}}}"),
        number("Reward now", f"prorl_reward_mean{{{JOB}}}"),
        number("Held-out accuracy now", f"prorl_accuracy{{{JOB}}}", unit="percentunit"),
        number("KL to the reference now", f"prorl_kl{{{JOB}}}"),
        number("Entropy now", f"prorl_entropy{{{JOB}}}"),
        number("Signals out of bounds", f"count(prorl_health_level{{{JOB}}} > 0) or vector(0)"),
    ),
)
REWARD = Section(
    title="Reward and accuracy",
    charts=(
        lines("Reward by domain", "prorl_domain_reward_mean|{{domain}}", "prorl_reward_mean|all"),
        lines(
            "Reward of what was trained on", "prorl_trained_reward_mean|raw",
            "prorl_shaped_reward_mean|after length terms",
            "prorl_domain_shaped_reward_mean|after length terms, {{domain}}",
        ),
        lines(
            "Spread of the reward", "prorl_reward_std|all", "prorl_shaped_reward_std|shaped",
            "prorl_domain_reward_std|{{domain}}",
            "prorl_domain_shaped_reward_std|shaped, {{domain}}",
        ),
        lines(
            "Held-out accuracy", "prorl_domain_accuracy|{{domain}}", "prorl_accuracy|all",
            unit="percentunit",
        ),
        lines(
            "Held-out pass@k", "prorl_pass_at_k|k = {{k}}", unit="percentunit",
            about="pass@1 rises while a large k falls: the policy narrows.",
        ),
        lines("Loss", "prorl_loss"),
    ),
)  # fmt: skip
TRUST = Section(
    title="Trust region",
    charts=(
        lines(
            "KL to the reference", "prorl_kl|k2", "prorl_kl_k1|k1",
            about="A sawtooth: it rises, and each reset takes it to 0.",
        ),
        lines("Entropy", "prorl_entropy", about="Nats per token; below 0.2 nothing is explored."),
        lines("KL within a step", "prorl_ppo_kl"),
        lines(
            "Clipped tokens", "prorl_clip_fraction_low|low", "prorl_clip_fraction_high|high",
            "prorl_clip_fraction_dual|dual", unit="percentunit",
        ),
        lines("Gradient norm before clipping", "prorl_grad_norm"),
        lines("Reference version", "prorl_reference_version"),
    ),
)  # fmt: skip
SIGNAL = Section(
    title="Lengths and signal",
    charts=(
        lines("Response length", "prorl_response_tokens_mean|mean tokens"),
        lines(
            "Cut off, or not judged", "prorl_truncated_ratio|truncated",
            "prorl_unjudged_ratio|not judged", unit="percentunit",
        ),
        lines(
            "Groups", "prorl_kept_ratio|kept", "prorl_all_correct_ratio|all right",
            "prorl_all_wrong_ratio|all wrong", unit="percentunit",
        ),
        lines("Rounds of generation", "prorl_rounds"),
        lines("Staleness, versions", "prorl_staleness_mean|mean", "prorl_staleness_max|max"),
        lines(
            "Waiting and dropped", "prorl_carried|groups carried over",
            "prorl_surplus_dropped|surplus groups", "prorl_stale_dropped|stale completions",
        ),
    ),
)  # fmt: skip
MISMATCH = Section(
    title="Mismatch of engine and trainer",
    charts=(
        lines(
            "Log-probabilities apart", "prorl_mismatch|mean", "prorl_mismatch_max|max",
            "prorl_prob_difference|probability, mean",
        ),
        lines("Probability error", "prorl_token_mult_prob_error", about="1 is none."),
        lines("KL from engine to trainer", "prorl_gen_kl"),
        lines("Importance weights", "prorl_is_weight_mean|mean", "prorl_is_weight_std|std"),
        lines("Effective share of the tokens", "prorl_is_ess", unit="percentunit"),
        lines("Weights out of bounds", "prorl_is_oob_ratio|share", "prorl_is_chi2|chi²"),
    ),
)  # fmt: skip
LEVELS = Section(
    title="Signals and their bounds (docs/health.md)",
    charts=(
        Chart(
            title="Level",
            queries=(of_job("prorl_health_level", "{{signal}}"),),
            kind=Kind.STATES,
            width=12,
            words=(("ok", "green"), ("warn", "orange"), ("alert", "red")),
        ),
        Chart(
            title="Value of the signals out of bounds",
            queries=(
                Query(
                    expr=f"prorl_health_value{{{JOB}}} and prorl_health_level{{{JOB}}} > 0",
                    legend="{{signal}}",
                ),
            ),
            width=12,
        ),
    ),
)
TRAINING = Board(
    uid="prorl-training",
    title="ProRL / Training health",
    about="Whether a job learns, and whether it will go on doing so.",
    sections=(NOW, REWARD, TRUST, SIGNAL, MISMATCH, LEVELS),
    variables=ONE_JOB,
    marks=MARKS,
)
