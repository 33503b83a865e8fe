"""What docs/ says in words of the mitigations, sentence by sentence, held to their figures."""

import pytest

from stages.analysis import transfer
from tests.conftest import ROOT


def test_what_the_page_says_of_each_mitigation():
    """The share of the loss of coded-hard that each recovers, in domain and out of domain."""
    measured = {one.variant: one for one in transfer.read(ROOT / "reports/keeping.json").variants}

    def recovered(variant: str) -> list[float]:
        sides = zip(domains(measured[variant]), domains(measured["coded-hard"]), strict=True)
        return [1 - change / without for change, without in sides]

    assert all(min(recovered(name)) > 0.6 for name in ("coded-best", "coded-top", "coded-ia3", "coded-mix"))
    assert recovered("coded-distil") == pytest.approx([1 / 2, 1 / 3], abs=0.03)
    assert recovered("coded-l2") == pytest.approx([0, 0], abs=0.01)
    assert max(recovered("coded-filtered")) < 0.1 and max(recovered("coded-lora")) < -0.25


def domains(variant: transfer.VariantTransfer) -> tuple[float, float]:
    """The change in per cent of the base, in domain and out of domain."""
    return variant.in_domain.change(), variant.out_of_domain.change()
