"""Why a check has the state it has: codes instead of texts, as nothing that an endpoint sent may go any further."""

from __future__ import annotations

import enum
import errno


class State(enum.IntEnum):
    """What is known of an endpoint."""

    UNKNOWN = 0
    UP = 1
    DOWN = 2


class Reason(enum.IntEnum):
    """What came of one check. From LOCAL on it says nothing of the endpoint: this node could not ask."""

    FINE = 0
    REFUSED = 1
    TIMEOUT = 2
    UNREACHABLE = 3
    RESET = 4
    CLOSED = 5
    STATUS = 6
    BODY = 7
    TLS = 8
    CERTIFICATE = 9
    GARBAGE = 10
    NO_ANSWER = 11
    NOT_SERVING = 12
    KILLED = 13
    EXIT_CODE = 14

    LOCAL = 128
    FORBIDDEN = 129
    NO_RESOURCES = 130
    NO_PROGRAM = 131
    NO_CA_FILE = 132
    NO_QUESTION = 133
    NOT_YET = 134


WORDS = {
    Reason.FINE: "answers",
    Reason.REFUSED: "connection refused",
    Reason.TIMEOUT: "no answer in time",
    Reason.UNREACHABLE: "no way to it",
    Reason.RESET: "connection reset",
    Reason.CLOSED: "connection closed before the answer",
    Reason.STATUS: "another status than expected",
    Reason.BODY: "another body than expected",
    Reason.TLS: "no TLS",
    Reason.CERTIFICATE: "certificate not trusted",
    Reason.GARBAGE: "not an answer of this protocol",
    Reason.NO_ANSWER: "the answer has nothing in it",
    Reason.NOT_SERVING: "says that it does not serve",
    Reason.KILLED: "the program was killed",
    Reason.EXIT_CODE: "the program failed",
    Reason.LOCAL: "this node cannot ask it",
    Reason.FORBIDDEN: "this node may not ask it (ping_group_range for icmp, or its firewall)",
    Reason.NO_RESOURCES: "this node has no descriptors, ports or memory left to ask it",
    Reason.NO_PROGRAM: "the program is not there, or others than root may change it",
    Reason.NO_CA_FILE: "the caFile cannot be read",
    Reason.NO_QUESTION: "this version cannot ask that",
    Reason.NOT_YET: "not asked yet",
}
"""Each code for people."""

_OF_ERRNO = {
    errno.ECONNREFUSED: Reason.REFUSED,
    errno.ETIMEDOUT: Reason.TIMEOUT,
    errno.ECONNRESET: Reason.RESET,
    errno.EPIPE: Reason.RESET,
    errno.ECONNABORTED: Reason.RESET,
    errno.ENOTCONN: Reason.RESET,
    errno.ENETUNREACH: Reason.UNREACHABLE,
    errno.EHOSTUNREACH: Reason.UNREACHABLE,
    errno.ENETDOWN: Reason.UNREACHABLE,
    errno.EHOSTDOWN: Reason.UNREACHABLE,
    errno.EPROTO: Reason.UNREACHABLE,
    errno.ENOPROTOOPT: Reason.UNREACHABLE,
    errno.ENONET: Reason.UNREACHABLE,
    errno.EACCES: Reason.UNREACHABLE,
    errno.EPERM: Reason.FORBIDDEN,
    errno.EMFILE: Reason.NO_RESOURCES,
    errno.ENFILE: Reason.NO_RESOURCES,
    errno.ENOBUFS: Reason.NO_RESOURCES,
    errno.ENOMEM: Reason.NO_RESOURCES,
    errno.EAGAIN: Reason.NO_RESOURCES,
    errno.EADDRINUSE: Reason.NO_RESOURCES,
}
"""Those that stand for UNREACHABLE are what the kernel makes of ICMP errors (icmp_err_convert, icmpv6_err_convert)."""


def of_errno(number: int | None) -> Reason:
    """What an error of a system call says of an endpoint; LOCAL where it says nothing that is known."""
    return _OF_ERRNO.get(number or 0, Reason.LOCAL)
