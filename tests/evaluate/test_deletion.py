"""The deletion test tells true reasons from made-up ones."""

from __future__ import annotations

import pytest
from scipy import sparse
from stubs import interests, tribes

from loreweave.evaluate import deletion_test
from loreweave.models.base import Cause
from loreweave.models.linear.cikg_linear import CIKGLinear
from loreweave.models.linear.ease import EASE
from loreweave.models.linear.popular import Popular


class Upside(EASE):
    """EASE with its reasons turned upside down: the causes it names first weigh least."""

    def _causes(
        self, history: sparse.csr_array, interests: sparse.csr_array, item: int, user: int | None
    ) -> tuple[float, list[Cause], bool]:
        score, causes, exact = super()._causes(history, interests, item, user)
        return score, [Cause(cause.kind, cause.key, cause.text, -cause.contribution) for cause in causes], exact


def test_true_reasons_pass_and_false_ones_fail() -> None:
    true = deletion_test(EASE(l2=5.0).fit(tribes()), users=20)
    false = deletion_test(Upside(l2=5.0).fit(tribes()), users=20)
    assert true is not None and false is not None
    assert true["ci"][0] > 0 and true["share"] == 1
    assert false["ci"][1] < 0 and false["share"] == 0
    assert true["users"] == 20
    assert true["difference"] == pytest.approx(true["named"] - true["random"])


def test_the_drop_of_a_linear_model_is_what_it_said() -> None:
    data = tribes()
    model = CIKGLinear(l2=5.0).fit(data, interests(data.fingerprint))
    item = model.recommend(["u00"], k=1)["item"][0]
    explained = model.explain("u00", item)
    assert {cause.kind for cause in explained.causes} == {"item", "interest"}
    for taken in (explained.causes[:2], explained.causes[-3:]):
        drop = explained.score - model.score_without("u00", item, taken)
        assert drop == pytest.approx(sum(cause.contribution for cause in taken), abs=1e-5)


def test_a_model_without_personal_reasons_is_not_tested() -> None:
    assert deletion_test(Popular().fit(tribes())) is None
