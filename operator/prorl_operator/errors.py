"""The operator's own exceptions. Expected outcomes are values, not exceptions."""


class OperatorError(Exception):
    """Base of all."""


class SettingsError(OperatorError):
    """A flag or file is missing or wrong; names it."""


class LeadershipLost(OperatorError):
    """Another instance may hold the Lease now: this one must stop at once."""


class JobGone(OperatorError):
    """The job was deleted or replaced while it was being reconciled."""


class ApiError(OperatorError):
    """The API server has answered with an error, or not at all (status 0)."""

    def __init__(self, *, status: int, reason: str, message: str) -> None:
        super().__init__(f"HTTP {status} {reason}: {message}")
        self.status = status
        self.reason = reason
        self.message = message

    @property
    def is_refusal(self) -> bool:
        """Repeating the same request at once cannot help: the request itself is refused."""
        if self.status == 500:
            # Server-side apply answers 500 to a field that the schema does not have.
            return "typed patch" in self.message or "not declared in schema" in self.message
        return self.status in (400, 403, 405, 413, 415, 422)
