"""`python -m prorl_operator`: the controller of ProRLJobs."""

import asyncio
import logging
import os
import sys

from prorl_operator.errors import LeadershipLost, SettingsError
from prorl_operator.settings import Settings, parse_settings


def main() -> None:
    """Exit code 0 after SIGTERM, 1 after the loss of the Lease, 2 for wrong settings."""
    try:
        settings = parse_settings(sys.argv[1:])
    except SettingsError as error:
        sys.exit(_complain(error, 2))
    logging.basicConfig(
        level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    logging.getLogger("kopf").setLevel(logging.WARNING)  # a line per event would say nothing
    try:
        _run(settings)
    except LeadershipLost as error:
        sys.exit(_complain(error, 1))


def _run(settings: Settings) -> None:
    if settings.kubeconfig is not None:
        os.environ["KUBECONFIG"] = settings.kubeconfig  # kopf knows no other way
    # Here, so that --help and wrong settings answer at once.
    from prorl_operator.operator_process import run_operator

    asyncio.run(run_operator(settings))


def _complain(error: Exception, code: int) -> int:
    print(error, file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
