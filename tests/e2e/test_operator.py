"""The operator as its chart installs it."""

from cluster.product import RELEASE, SYSTEM, Product

MIB = 1 << 20


def test_the_operator_without_jobs_is_small(product: Product) -> None:
    assert product.objects("prorljobs", SYSTEM) == []
    resident = product.operator_metric("process_resident_memory_bytes")
    assert resident < 120 * MIB, f"{resident / MIB:.0f} MiB"


def test_helm_test_asks_the_operator_whether_it_is_ready(product: Product) -> None:
    said = product.helm("test", RELEASE, "--namespace", SYSTEM, "--timeout", "90s")
    assert "Phase:          Succeeded" in said
