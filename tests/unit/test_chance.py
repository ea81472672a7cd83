"""Chi-square against tables of it, and tests of counts worked out by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest

from sluice import chance


# Quantiles of the chi-square distribution as statistical tables print them.
@pytest.mark.parametrize(
    ("statistic", "degrees", "p"),
    [
        (3.841459, 1, 0.05),
        (10.827566, 1, 0.001),
        (5.991465, 2, 0.05),
        (7.814728, 3, 0.05),
        (16.266236, 3, 0.001),
        (9.487729, 4, 0.05),
        (18.307038, 10, 0.05),
        (0.454936, 1, 0.5),
        (124.342113, 100, 0.05),
        (140.169489, 100, 0.005),
    ],
)
def test_survival_at_tabled_quantiles(statistic: float, degrees: int, p: float) -> None:
    assert chance.survival(statistic, degrees) == pytest.approx(p, rel=1e-5)


def test_survival_falls_from_one_to_zero() -> None:
    values = [chance.survival(x, 5) for x in (0, 1, 5, 20, 100, 5000)]
    assert values[0] == 1
    assert values == sorted(values, reverse=True)
    assert values[-1] == pytest.approx(0, abs=1e-300)


@pytest.mark.parametrize(("statistic", "degrees"), [(1.0, 0), (-1.0, 2)])
def test_survival_refuses_what_is_no_chi_square(statistic: float, degrees: int) -> None:
    with pytest.raises(ValueError, match="chi-square"):
        chance.survival(statistic, degrees)


def test_uniform_p() -> None:
    assert chance.uniform_p([100, 100, 100]) == 1
    # (10² + 10²) / 100 = 2 with one degree of freedom
    assert chance.uniform_p([90, 110]) == pytest.approx(0.157299, rel=1e-5)
    assert chance.uniform_p([300]) == 1
    assert chance.uniform_p([300, 0, 0]) < 1e-100


def test_weighted_p() -> None:
    assert chance.weighted_p([400, 200, 100], [4, 2, 1]) == pytest.approx(1)
    # 10² / 200 + 10² / 100 = 1.5 with one degree of freedom
    assert chance.weighted_p([210, 90], [2, 1]) == pytest.approx(0.220671, rel=1e-5)


def test_weights_may_be_probabilities() -> None:
    halves = [Fraction(1, 2), Fraction(1, 4), Fraction(1, 4)]
    assert chance.expected([10, 5, 5], halves) == [10, 5, 5]
    assert chance.weighted_p([210, 90, 100], halves) == chance.weighted_p([210, 90, 100], [2, 1, 1])


def test_no_count_and_one_cell_are_as_expected() -> None:
    assert chance.weighted_p([0, 0], [1, 1]) == 1
    assert chance.weighted_p([7], [1]) == 1


def test_pooled_p() -> None:
    assert chance.pooled_p([]) == 1
    assert chance.pooled_p([([300], [1]), ([0, 0], [1, 1])]) == 1
    # 10² / 100 * 2 of one degree of freedom; 5² / 200 + 10² / 75 + 15² / 25 of two
    thirds = [Fraction(2, 3), Fraction(1, 4), Fraction(1, 12)]
    pooled = chance.pooled_p([([90, 110], [1, 1]), ([205, 85, 10], thirds)])
    assert pooled == pytest.approx(chance.survival(2 + 0.125 + 4 / 3 + 9, 3), rel=1e-9)
    # What the published walkthrough says of its three endpoints, and what they get.
    assert chance.pooled_p([([100, 100, 100], [3, 2, 1])]) < 1e-10
