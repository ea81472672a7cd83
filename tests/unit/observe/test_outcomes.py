"""Ways that end alike are one outcome, and their chances are added."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from sluice.observe.outcomes import DROP, ENDPOINT, PASS, REJECT, Outcome, Step, gathered

FEW, MANY = Fraction(1, 6), Fraction(1, 2)


def _outcome(verdict: str, endpoint: str, chance: Fraction, rule: str = "", masquerade: bool = False) -> Outcome:
    return Outcome(verdict, endpoint, chance, masquerade, (Step("nat", "OUTPUT", rule, "why"),))


def test_the_likeliest_way_stands_for_all() -> None:
    ways = [_outcome(ENDPOINT, "a:1", FEW, "rare"), _outcome(DROP, "", FEW), _outcome(ENDPOINT, "a:1", MANY, "often")]
    first, second = gathered(ways)
    assert (first.endpoint, first.probability, first.path[0].rule) == ("a:1", Fraction(2, 3), "often")
    assert (second.verdict, second.probability) == (DROP, FEW)


def test_who_is_seen_makes_another_outcome() -> None:
    assert len(gathered([_outcome(ENDPOINT, "a:1", MANY), _outcome(ENDPOINT, "a:1", MANY, masquerade=True)])) == 2


@given(
    st.lists(
        st.builds(
            _outcome,
            st.sampled_from([ENDPOINT, REJECT, DROP, PASS]),
            st.sampled_from(["", "a:1", "b:1"]),
            st.fractions(0, 1),
        )
    )
)
def test_nothing_is_lost(ways: list[Outcome]) -> None:
    found = gathered(ways)
    assert sum(each.probability for each in found) == sum(each.probability for each in ways)
    assert [each.probability for each in found] == sorted((each.probability for each in found), reverse=True)


def test_for_programs() -> None:
    step = Step("nat", "OUTPUT", "-j X", "every packet", {"another port": 2})
    assert Outcome(REJECT, "", Fraction(1, 3), False, (step,)).fields() == {
        "verdict": "reject",
        "endpoint": None,
        "probability": "1/3",
        "masquerade": False,
        "path": [
            {
                "table": "nat",
                "chain": "OUTPUT",
                "rule": "-j X",
                "why": "every packet",
                "skipped": {"another port": 2},
            }
        ],
    }
