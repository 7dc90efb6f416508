"""Images of the local node. No registry: they are built here and imported into containerd.

    python -m cluster.images    builds what is missing, with a line for every long step

base is a Debian with Python. The trainer's image is base and nothing more: the node mounts this
checkout and its Python environment into it (node.base_spec). The operator's and the verifier's are
built by their Dockerfiles on top of base.
"""

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
TRAINER = "prorl.test/trainer:1"
OPERATOR = "prorl.test/operator:1"
VERIFIER = "prorl.test/verifier:1"
PAUSE = "prorl.test/pause:1"
ENVIRONMENT = "/opt/prorl-environment"
SOURCE = "/opt/prorl-source"
"""Where the node mounts the Python environment and this checkout."""
PACKAGES = "python3,python3-venv,libgomp1,libnuma1,ca-certificates"
PYTHON = Path("/usr/bin/python3.11")
LOCK = ("pyproject.toml", "uv.lock")
PARTS = {
    "base": ("tests/cluster/images.py",),
    "operator": ("operator/Dockerfile", "operator", "crds", *LOCK),
    "verifier": ("trainer_image/verifier.Dockerfile", "trainer_image/prorl_verifier", *LOCK),
}
"""What each is made of; a Dockerfile comes first."""
CERTIFICATES = "/etc/ssl/certs:/etc/ssl/certs:ro"
"""A machine behind a proxy has certificates of its own."""


def missing() -> str | None:
    """Why the node would have no images, or None."""
    if Path(sys.executable).resolve() != PYTHON:
        return f"{sys.executable} is not of {PYTHON}, which the images have: `make PYTHON={PYTHON}`"
    absent = [name for name in PARTS if not archive(name).exists()]
    return f"no image of {', '.join(absent)}: run `make images`" if absent else None


def archive(name: str) -> Path:
    """OCI archive outside of the clone; its name tells what it was made of."""
    cache = Path(os.environ.get("PRORL_CACHE") or Path.home() / ".cache" / "prorl")
    digest = hashlib.sha256()
    for path in (*_files("base"), *_files(name)):
        digest.update(f"{path.relative_to(ROOT)}\n".encode() + path.read_bytes())
    return cache / "images" / f"{name}-{digest.hexdigest()[:12]}.oci.tar"


def build() -> None:
    """Raises CalledProcessError; what the failed command said is on stderr."""
    for name in PARTS:
        target = archive(name)
        if target.exists():
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        print(f"==> image of {name} ({time.strftime('%T')})", flush=True)
        part = target.with_suffix(".part")
        part.unlink(missing_ok=True)
        _build_base(part) if name == "base" else _build(name, part)
        for older in target.parent.glob(f"{name}-*.oci.tar"):
            older.unlink()
        part.rename(target)


def load() -> None:
    """Into the containerd of this mount namespace."""
    containerd = ["ctr", "-n", "k8s.io", "images"]
    for name in PARTS:
        command = [*containerd, "import", str(archive(name))]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    tag = [*containerd, "tag", TRAINER, PAUSE]
    subprocess.run(tag, check=True, stdout=subprocess.DEVNULL)


def _build_base(target: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="prorl-base-") as rootfs:
        debootstrap = ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", "bookworm"]
        _run(*debootstrap, rootfs)
        for litter in ("var/cache/apt/archives", "var/lib/apt/lists"):
            _run("find", f"{rootfs}/{litter}", "-type", "f", "-delete")
        container = _run("buildah", "from", "scratch").strip()
        _run("buildah", "add", "-q", container, rootfs, "/")
    path = f"{ENVIRONMENT}/bin:/usr/local/bin:/usr/bin:/bin"
    _run("buildah", "config", "--env", f"PATH={path}", "--cmd", "sleep infinity", container)
    _run("buildah", "commit", "-q", "--rm", container, TRAINER)
    _push(TRAINER, target)


def _build(name: str, target: Path) -> None:
    image = f"prorl.test/{name}:1"
    known = _run("buildah", "images", "--format", "{{.Name}}:{{.Tag}}").split()
    if TRAINER not in known:
        _run("buildah", "pull", "-q", f"oci-archive:{archive('base')}")
    if image in known:
        _run("buildah", "rmi", image)  # or it would stay without a name
    arguments = ["--isolation", "chroot", "--volume", CERTIFICATES]
    arguments += ["--build-arg", f"BASE={TRAINER}", "--pull=never", "-t", image]
    _run("buildah", "bud", "-q", *arguments, "-f", PARTS[name][0], str(ROOT))
    _push(image, target)


def _push(image: str, target: Path) -> None:
    _run("buildah", "push", "-q", "--disable-compression", image, f"oci-archive:{target}:{image}")


def _run(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode:
        print((done.stdout + done.stderr)[-4000:], file=sys.stderr)
        done.check_returncode()
    return done.stdout


def _files(name: str) -> Iterator[Path]:
    for part in PARTS[name]:
        top = ROOT / part
        found = [top] if top.is_file() else sorted(top.rglob("*"))
        yield from (path for path in found if path.is_file() and path.suffix != ".pyc")


if __name__ == "__main__":
    build()
