"""python -m cluster up|down|status|demo: a Kubernetes with one node on this machine, with the
operator installed. Needs root. `make cluster-up` and its like call this."""

import argparse
import os
import sys
import time
from pathlib import Path

from cluster.control_plane import binaries
from cluster.demo import follow
from cluster.local import ClusterError, LocalCluster
from cluster.product import Product

CACHE = Path(os.environ.get("PRORL_CACHE") or Path.home() / ".cache" / "prorl")


def up(cluster: LocalCluster) -> None:
    """Nothing to do where it runs."""
    if not cluster.running:
        print("==> starting Kubernetes", flush=True)
        begin = time.monotonic()
        cluster.start(tied=False)
        print(f"ready after {time.monotonic() - begin:.0f} s")
    print("==> installing the operator's chart", flush=True)
    product = Product(cluster=cluster)
    product.namespace("default")
    product.install()
    print(f"Use it:  export KUBECONFIG={cluster.kubeconfig} PATH={binaries()}:$PATH")
    print("End it:  make cluster-down")


def status(cluster: LocalCluster) -> None:
    """What runs in it."""
    if not cluster.running:
        raise ClusterError("No local cluster is running: `make cluster-up` starts one.")
    print(Product(cluster=cluster).kubectl("get", "nodes,pods,prorljobs", "--all-namespaces"))


def main() -> int:
    """1 with a sentence on stderr where it cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m cluster", description=__doc__)
    parser.add_argument("action", choices=["up", "down", "status", "demo"])
    parser.add_argument("--directory", type=Path, default=CACHE / "cluster")
    parser.add_argument("--file", type=Path, default=Path("examples/quickstart.yaml"))
    options = parser.parse_args()
    cluster = LocalCluster(directory=options.directory.absolute())
    try:
        if options.action == "down":
            cluster.stop()
        elif options.action == "status":
            status(cluster)
        else:
            up(cluster)
        return follow(Product(cluster=cluster), options.file) if options.action == "demo" else 0
    except (ClusterError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
