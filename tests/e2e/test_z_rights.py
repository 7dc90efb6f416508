"""After all other tests of this layer: the operator used every right that its chart grants, and
wanted no other. The name of this file makes it the last."""

import pytest
import yaml
from cluster.product import RELEASE, SYSTEM, Product
from rbac_audit import granted, read_audit

ACCOUNT = "prorl-prorl-operator"
OTHER_FILES = 5


def test_rights_granted_are_rights_used(product: Product, request: pytest.FixtureRequest) -> None:
    files = {item.path.name for item in request.session.items} - {"test_z_rights.py"}
    if len(files) < OTHER_FILES:
        pytest.skip(f"only {len(files)} of {OTHER_FILES} other files of this layer ran")
    text = product.helm("get", "manifest", RELEASE, "--namespace", SYSTEM)
    given = granted([one for one in yaml.safe_load_all(text) if one], ACCOUNT)
    lines = product.cluster.audit_log.read_text().splitlines()
    audit = read_audit(lines, ACCOUNT)
    assert audit.denied - given == set(), (
        "wanted and not granted; `helm uninstall` takes rights away"
    )
    assert given - audit.used == set(), "granted and not used"
