"""What Pod Security `restricted` would say of a pod, without a server."""

from typing import Any

ALLOWED_VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim",
    "projected", "secret",
}  # fmt: skip


def breaches(pod: dict[str, Any]) -> list[str]:
    """What Pod Security `restricted` would refuse (kubernetes.io, Pod Security Standards)."""
    spec = pod["spec"]
    containers = [
        one
        for kind in ("containers", "initContainers", "ephemeralContainers")
        for one in spec.get(kind, [])
    ]
    found = [key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    for volume in spec.get("volumes", []):
        found += [f"volume {key}" for key in volume.keys() - {"name"} - ALLOWED_VOLUMES]
    found += _user_breaches("pod", spec.get("securityContext", {}), {})
    for one in containers:
        context = one.get("securityContext", {})
        found += _container_breaches(one, context)
        found += _user_breaches(one["name"], context, spec.get("securityContext", {}))
    return found


def _user_breaches(where: str, context: dict[str, Any], outer: dict[str, Any]) -> list[str]:
    found = []
    effective = outer | context
    if where != "pod" and effective.get("runAsNonRoot") is not True:
        found.append(f"{where} runAsNonRoot")
    if context.get("runAsUser") == 0:
        found.append(f"{where} runAsUser")
    profile = effective.get("seccompProfile", {}).get("type")
    if where != "pod" and profile not in ("RuntimeDefault", "Localhost"):
        found.append(f"{where} seccompProfile")
    unsafe = ("seLinuxOptions", "windowsOptions", "sysctls", "appArmorProfile")
    return found + [f"{where} {key}" for key in unsafe if key in context]


def _container_breaches(one: dict[str, Any], context: dict[str, Any]) -> list[str]:
    name, capabilities = one["name"], context.get("capabilities", {})
    found = []
    if context.get("privileged"):
        found.append(f"{name} privileged")
    if context.get("allowPrivilegeEscalation") is not False:
        found.append(f"{name} allowPrivilegeEscalation")
    if "ALL" not in capabilities.get("drop", []):
        found.append(f"{name} capabilities drop")
    if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
        found.append(f"{name} capabilities add")
    if context.get("procMount", "Default") != "Default":
        found.append(f"{name} procMount")
    if any("hostPort" in port for port in one.get("ports", [])):
        found.append(f"{name} hostPort")
    probes = ("readinessProbe", "livenessProbe", "startupProbe", "lifecycle")
    return found + [f"{name} {key} host" for key in probes if "'host':" in str(one.get(key))]
