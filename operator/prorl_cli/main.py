"""`prorl`, also `kubectl prorl`: check a ProRLJob, train one on this machine."""

import click

from prorl_cli.run import run
from prorl_cli.validate import validate


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="prorl-operator")
def main() -> None:
    """Prolonged reinforcement learning of language models, as one ProRLJob."""


main.add_command(validate)
main.add_command(run)

if __name__ == "__main__":
    main()
