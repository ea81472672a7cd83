"""Codes: each fits into a byte and has its words, and errors of system calls are told apart."""

from __future__ import annotations

import errno

from sluice.health.reasons import WORDS, Reason, of_errno


def test_each_code_fits_into_a_byte_and_has_words() -> None:
    assert all(0 <= reason <= 255 for reason in Reason)
    assert set(WORDS) == set(Reason)
    assert len(set(WORDS.values())) == len(WORDS)


def test_what_is_wrong_here_says_nothing_of_an_endpoint() -> None:
    for number in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EPERM, errno.EADDRNOTAVAIL, errno.EINVAL, None):
        assert of_errno(number) >= Reason.LOCAL
    for number in (errno.ECONNREFUSED, errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ECONNRESET):
        assert Reason.FINE < of_errno(number) < Reason.LOCAL
