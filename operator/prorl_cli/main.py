"""`prorl`, also `kubectl prorl`: ProRLJobs in files, on this machine and on a cluster."""

import click

from prorl_cli.checkpoints import checkpoints
from prorl_cli.cluster.change import resume, scale, suspend
from prorl_cli.cluster.request import checkpoint, reset_reference
from prorl_cli.cluster.show import events, list_jobs, logs, status
from prorl_cli.cluster.wait import wait
from prorl_cli.export import export
from prorl_cli.plan import plan
from prorl_cli.run import run
from prorl_cli.validate import validate


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="prorl-operator")
def main() -> None:
    """Prolonged reinforcement learning of language models, as one ProRLJob."""


for command in (validate, run, plan, export, checkpoints):
    main.add_command(command)
for command in (list_jobs, status, events, logs, wait):
    main.add_command(command)
for command in (suspend, resume, scale, checkpoint, reset_reference):
    main.add_command(command)

if __name__ == "__main__":
    main()
