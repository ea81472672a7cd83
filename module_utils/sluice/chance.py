"""Whether counts are what chance gives: Pearson's chi-square test."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Union

P_MINIMUM = 0.0001
"""Below, shares are not what chance gives: one test of 10,000 fair ones."""

FEWEST = 5
"""What a cell of the test has to be expected to have at least, for its distribution to be that of chi-square (Cochran,
Some Methods for Strengthening the Common chi-square Tests, 1954)."""

Weights = Sequence[Union[int, float, Fraction]]
"""Of each cell, as large as its probability is beside the others'. None is 0."""


def survival(statistic: float, degrees: int) -> float:
    """P(X >= statistic) of the chi-square distribution with ``degrees`` degrees of freedom.

    The regularised upper incomplete gamma function Q(degrees/2, statistic/2): closed forms for 1 and 2 degrees, and
    Q(a+1, x) = Q(a, x) + x^a e^-x / Gamma(a+1) (Abramowitz and Stegun 6.5.21).
    """
    if degrees < 1 or statistic < 0:
        raise ValueError(f"chi-square of {statistic} with {degrees} degrees of freedom")
    x = statistic / 2
    if x == 0:
        return 1.0
    a, q = (0.5, math.erfc(math.sqrt(x))) if degrees % 2 else (1.0, math.exp(-x))
    while a < degrees / 2:
        q += math.exp(a * math.log(x) - x - math.lgamma(a + 1))
        a += 1
    return min(q, 1.0)


def expected(counts: Sequence[int], weights: Weights) -> list[float]:
    """What each cell has where the sum of ``counts`` is shared by weight."""
    total, whole = sum(counts), sum(weights)
    return [float(total * weight / whole) for weight in weights]


def statistic(counts: Sequence[int], weights: Weights) -> float:
    """Pearson's; it has one degree of freedom less than there are cells."""
    return sum((count - fair) ** 2 / fair for count, fair in zip(counts, expected(counts, weights)))


def weighted_p(counts: Sequence[int], weights: Weights) -> float:
    """The p-value of the hypothesis that each count came about with a probability that is as its weight."""
    return pooled_p([(counts, weights)])


def pooled_p(samples: Iterable[tuple[Sequence[int], Weights]]) -> float:
    """The p-value of many such hypotheses together: counts and weights of each. Sums of chi-squares are one, too."""
    tested = [(counts, weights) for counts, weights in samples if len(counts) > 1 and any(counts)]
    if not tested:
        return 1.0
    return survival(sum(statistic(*each) for each in tested), sum(len(counts) - 1 for counts, _weights in tested))


def uniform_p(counts: Sequence[int]) -> float:
    """The same where all probabilities are equal."""
    return weighted_p(counts, [1] * len(counts))
