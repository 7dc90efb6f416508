"""`prorl`, also `kubectl prorl`: check a ProRLJob, count its needs, train it here, export it."""

import click

from prorl_cli.export import export
from prorl_cli.plan import plan
from prorl_cli.run import run
from prorl_cli.validate import validate


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="prorl-operator")
def main() -> None:
    """Prolonged reinforcement learning of language models, as one ProRLJob."""


main.add_command(validate)
main.add_command(run)
main.add_command(plan)
main.add_command(export)

if __name__ == "__main__":
    main()
