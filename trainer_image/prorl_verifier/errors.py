"""What is wrong with an item, whatever the model wrote."""


class BadItemError(ValueError):
    """The item's answer or meta cannot be judged against: an infra-error of this item only."""
