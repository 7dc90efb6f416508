"""kubectl as an administrator of the tests' control plane."""

import subprocess

from cluster.control_plane import ControlPlane

TIMEOUT_S = 60


class Kubectl:
    """The command of the server's version."""

    def __init__(self, plane: ControlPlane) -> None:
        self.kubeconfig = str(plane.kubeconfig)
        self._command = [str(plane.kubectl), "--kubeconfig", self.kubeconfig]

    def __call__(
        self, *arguments: str, text: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """It may fail. `text` is its input."""
        return subprocess.run(
            [*self._command, *arguments], input=text, capture_output=True, text=True,
            check=False, timeout=TIMEOUT_S,
        )  # fmt: skip

    def must(self, *arguments: str, text: str | None = None) -> str:
        """Its output."""
        done = self(*arguments, text=text)
        assert done.returncode == 0, done.stderr
        return done.stdout
