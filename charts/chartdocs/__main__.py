"""`python -m chartdocs [--check]`: writes the chart's README and the job that its notes show.

With --check nothing is written; the exit code is 1 if a file differs.
"""

from pathlib import Path

from prorl_api.generate import sync

from chartdocs.readme import readme

CHART = Path("charts/prorl-operator")
FIRST_JOB = Path("examples/quickstart.yaml")


def files(root: Path) -> dict[Path, str]:
    """Path -> text of all that is made here."""
    values = (root / CHART / "values.yaml").read_text()
    lines = (root / FIRST_JOB).read_text().splitlines(keepends=True)
    job = "".join(line for line in lines if not line.startswith("#"))
    return {
        root / CHART / "README.md": readme(values),
        root / CHART / "files" / "first-job.yaml": job,
    }


if __name__ == "__main__":
    sync(files(Path.cwd()), __doc__)
