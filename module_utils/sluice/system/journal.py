"""The journal of the host, or its syslog: who changed what, for whoever asks later."""

from __future__ import annotations

import syslog

from ..faults import printable

IDENTITY = "sluice"

LONGEST = 900
"""Characters of a line: RFC 3164 lets a receiver drop what is longer than 1024 bytes."""


def say(line: str) -> None:
    """Have one line in the journal (syslog(3)); where nobody listens, nobody is told.

    What a name or a message holds cannot make a second line of it.
    """
    syslog.openlog(IDENTITY, 0, syslog.LOG_DAEMON)
    syslog.syslog(syslog.LOG_NOTICE, printable(line)[:LONGEST])
    syslog.closelog()
