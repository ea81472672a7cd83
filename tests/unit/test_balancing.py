"""Annotations that say how a Service is balanced."""

from __future__ import annotations

import pytest

from sluice.balancing import FLAGS, MAX_WEIGHT, SCHEDULERS, balancing, faults


def test_every_scheduler_of_the_kernel_is_known() -> None:
    assert len(SCHEDULERS) == 13
    for scheduler in SCHEDULERS:
        assert not list(faults([("scheduler", scheduler)]))
        assert balancing([("scheduler", scheduler)], "rr").scheduler == scheduler
    assert set(FLAGS) <= set(SCHEDULERS)


def test_what_counts_for_a_weight() -> None:
    found = balancing([("weight", "2, 10.0.0.1=5, fd00::0:1=6")], "wrr")
    assert found.weight_of("10.0.0.2", None) == 2
    assert found.weight_of("10.0.0.2", 9) == 9, "what the endpoint says is nearer to it than the Service"
    assert found.weight_of("10.0.0.1", 9) == 5, "what names the endpoint is nearest"
    assert found.weight_of("fd00::1", None) == 6
    assert balancing([], "rr").weight_of("10.0.0.1", None) == 1
    assert balancing([], "rr").weight_of("10.0.0.1", 0) == 0


@pytest.mark.parametrize(
    ("annotations", "by"),
    [
        ([], ""),
        ([("scheduler", "wlc")], ""),
        ([("scheduler", "mh")], "source"),
        ([("scheduler", "sh"), ("scheduler-flags", "sh-port, sh-fallback")], "source-port"),
        ([("scheduler", "maglev")], "source"),
        ([("scheduler", "maglev"), ("hash", "source-port")], "source-port"),
        ([("hash", "source")], "source"),
        ([("hash", "source-port"), ("scheduler", "sh")], "source-port"),
    ],
)
def test_what_decides(annotations: list[tuple[str, str]], by: str) -> None:
    assert balancing(annotations, "").hash == by


@pytest.mark.parametrize(
    ("annotations", "scheduler", "flags"),
    [
        ([("scheduler", "maglev")], "mh", ()),
        ([("scheduler", "mh")], "mh", None),
        ([("hash", "source-port")], "mh", ("mh-port",)),
        ([("hash", "source-port"), ("scheduler-flags", "mh-fallback")], "mh", ("mh-fallback", "mh-port")),
        ([("hash", "source"), ("scheduler", "sh")], "sh", ()),
    ],
)
def test_what_ipvs_is_told(annotations: list[tuple[str, str]], scheduler: str, flags: tuple[str, ...] | None) -> None:
    assert balancing(annotations, "rr")[:2] == (scheduler, flags)


@pytest.mark.parametrize(
    ("annotations", "said"),
    [
        ([("hash", "cookie")], "must be one of source, source-port, is 'cookie'"),
        ([("hash", "source"), ("scheduler", "wrr")], "scheduler wrr hashes nothing"),
        (
            [("hash", "source"), ("scheduler", "mh"), ("scheduler-flags", "mh-port")],
            "source is not what the flag mh-port says",
        ),
    ],
)
def test_what_is_wrong_with_a_hash(annotations: list[tuple[str, str]], said: str) -> None:
    assert list(faults(annotations)) == [("hash", said)]


@pytest.mark.parametrize(
    ("annotation", "value", "said"),
    [
        ("scheduler", "fastest", "must be one of rr, wrr,"),
        ("scheduler-flags", "sh-port", "scheduler rr takes none, not 'sh-port'"),
        ("weight", "heavy", "must be a whole number from 0 to 65535, is 'heavy'"),
        ("weight", "-1", "is '-1'"),
        ("weight", "²", "is '²'"),
        ("weight", str(MAX_WEIGHT + 1), "is '65536'"),
        ("weight", "web-1=3", "'web-1' is not an IP address"),
        ("weight", "10.0.0.1=", "is ''"),
        ("weight", "=3", "'' is not an IP address"),
    ],
)
def test_faults(annotation: str, value: str, said: str) -> None:
    found = list(faults([(annotation, value)], ["rr"]))
    assert [name for name, _ in found] == [annotation]
    assert said in found[0][1]


@pytest.mark.parametrize("annotation", ["scheduler", "scheduler-flags", "hash", "weight"])
@pytest.mark.parametrize("value", ["rr\n-A -t 192.0.2.66:80 -s rr", "rr -p 5", "sh-port -o", "1=1\n", "10.0.0.1=1 -o"])
def test_no_text_becomes_a_line_of_ipvsadm(annotation: str, value: str) -> None:
    with pytest.raises(ValueError):
        balancing([(annotation, value)], "sh")


def test_flags_of_another_scheduler() -> None:
    assert list(faults([("scheduler", "mh"), ("scheduler-flags", "sh-port")])) == [
        ("scheduler-flags", "scheduler mh takes mh-fallback, mh-port, not 'sh-port'")
    ]


def test_flags_where_no_scheduler_is_known() -> None:
    assert not list(faults([("scheduler-flags", "mh-port")]))
    assert not list(faults([("scheduler-flags", "mh-port")], ["mh"]))
    assert list(faults([("scheduler-flags", "mh-port, fast")])) == [("scheduler-flags", "no scheduler takes 'fast'")]
    assert list(faults([("scheduler-flags", "mh-port")], ["mh", "sh"])) == [
        ("scheduler-flags", "scheduler sh takes sh-fallback, sh-port, not 'mh-port'")
    ]


def test_all_faults_at_once() -> None:
    said = [("scheduler", "best"), ("scheduler-flags", "x"), ("weight", "x"), ("other", "x")]
    assert [name for name, _ in faults(said)] == ["scheduler", "weight"]
