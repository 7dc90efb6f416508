"""Which mismatch correction the settings ask for. Legend: M response tokens of a microbatch."""

from prorl_api.spec_algorithm import MismatchType
from torch import Tensor, ones_like

from prorl_trainer.algo.mismatch import Correction, icepop, sequence_mask, truncated
from prorl_trainer.types import UpdateSettings


def correct(
    log_ratio: Tensor, mask: Tensor, sequence: Tensor, settings: UpdateSettings
) -> Correction:
    """The chosen correction [M]; `none` only measures how ICE-POP would have judged."""
    low, high = settings.mismatch_bounds
    match settings.mismatch_type:
        case MismatchType.TIS:
            return truncated(log_ratio, low=low, high=high)
        case MismatchType.ICEPOP:
            return icepop(log_ratio, low=low, high=high)
        case MismatchType.SEQUENCE_MASK:
            return sequence_mask(log_ratio, mask, sequence, low=low, high=high)
        case MismatchType.NONE:
            out = icepop(log_ratio, low=low, high=high).out_of_bounds
            return Correction(weights=ones_like(log_ratio), out_of_bounds=out)
