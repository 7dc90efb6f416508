"""The floor of reaction.py: watches pods, and creates each one anew that is to go.

python tests/bench/bare_client.py KUBECONFIG NAMESPACE
"""

import asyncio
import json
import ssl
import sys
from pathlib import Path
from typing import Any

import aiohttp

Manifest = dict[str, Any]


def next_name(name: str) -> str:
    """q-rollout-0-1 -> q-rollout-0-2, as the operator numbers its pods."""
    stem, _, number = name.rpartition("-")
    return f"{stem}-{int(number) + 1}"


def anew(pod: Manifest, name: str) -> Manifest:
    """The same pod, on no node yet."""
    metadata = {key: pod["metadata"].get(key, {}) for key in ("labels", "annotations")}
    spec = {key: value for key, value in pod["spec"].items() if key != "nodeName"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata | {"name": name}, "spec": spec}


async def main(kubeconfig: Path, namespace: str) -> None:
    """Prints `ready` when it watches. Raises aiohttp.ClientError when the server refuses a pod."""
    config = json.loads(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    trusted = ssl.create_default_context(cafile=cluster["certificate-authority"])
    async with aiohttp.ClientSession(
        base_url=cluster["server"],
        connector=aiohttp.TCPConnector(ssl=trusted),
        headers={"Authorization": f"Bearer {user['token']}"},
        timeout=aiohttp.ClientTimeout(total=None),
        raise_for_status=True,
    ) as session, asyncio.TaskGroup() as tasks:  # fmt: skip
        pods = f"/api/v1/namespaces/{namespace}/pods"
        async with session.get(pods) as answer:
            version = (await answer.json())["metadata"]["resourceVersion"]
        replaced: set[str] = set()
        async with session.get(pods, params={"watch": "1", "resourceVersion": version}) as stream:
            print("ready", flush=True)
            async for line in stream.content:
                pod = json.loads(line)["object"]
                name = pod["metadata"]["name"]
                if "deletionTimestamp" in pod["metadata"] and name not in replaced:
                    replaced.add(name)
                    tasks.create_task(create(session, pods, anew(pod, next_name(name))))


async def create(session: aiohttp.ClientSession, path: str, pod: Manifest) -> None:
    """One POST."""
    async with session.post(path, json=pod) as answer:
        await answer.read()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
