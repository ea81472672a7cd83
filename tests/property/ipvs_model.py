"""A model of what ``ipset restore``, ``ipvsadm -R`` and ``ip address`` do to a kernel, line by line."""

from __future__ import annotations

from collections.abc import Callable

from sluice.backends.ipvs.ipset_text import IpSet, parse
from sluice.backends.ipvs.plan import Step
from sluice.backends.ipvs.tables import Tables
from sluice.backends.ipvs.text import VirtualAddress, VirtualServer
from sluice.backends.ipvs.text import parse as parse_servers


class Kernel:
    """Sets, servers and addresses. Refuses what the tools refuse; ``watch`` sees it after every line."""

    def __init__(self, tables: Tables, watch: Callable[[Kernel], None] = lambda _: None) -> None:
        self.sets: dict[str, IpSet] = dict(tables.sets)
        self.servers: dict[VirtualAddress, VirtualServer] = {
            frontend: server._replace(real=dict(server.real)) for frontend, server in tables.servers.items()
        }
        self.addresses = dict.fromkeys(tables.addresses)
        self.referred: frozenset[str] = frozenset()
        self._watch = watch

    def tables(self) -> Tables:
        """What it holds."""
        return Tables(self.sets, self.servers, tuple(self.addresses))

    def run(self, step: Step) -> None:
        """Run the lines of a step."""
        tool = {"ipset": self._ipset, "ipvsadm": self._ipvsadm, "address": self._address}[step.tool]
        for line in step.text.splitlines():
            tool(line)
            self._watch(self)

    def _ipset(self, line: str) -> None:
        verb, name, *rest = line.split()
        if verb == "create":
            assert name not in self.sets, line
            self.sets.update(parse(f"{line}\n"))
            return
        held = self.sets[name]
        if verb == "destroy":
            assert name not in self.referred, f"{line}: a rule refers to it"
            del self.sets[name]
        elif verb == "flush":
            self.sets[name] = held._replace(members=())
        elif verb == "swap":
            self.sets[name], self.sets[rest[0]] = self.sets[rest[0]], held
        elif verb == "add":
            assert rest[0] not in held.members, line
            self.sets[name] = held._replace(members=(*held.members, rest[0]))
        else:
            assert verb == "del", line
            assert rest[0] in held.members, line
            self.sets[name] = held._replace(members=tuple(entry for entry in held.members if entry != rest[0]))

    def _ipvsadm(self, line: str) -> None:
        verb, option, where, *rest = line.split()
        server = f"-A {option} {where} "
        if verb in ("-A", "-E"):
            ((frontend, fresh),) = parse_servers(server + " ".join(rest)).items()
            assert (frontend in self.servers) == (verb == "-E"), line
            self.servers[frontend] = fresh._replace(real=self.servers[frontend].real if verb == "-E" else {})
            return
        if verb == "-D":
            (frontend,) = parse_servers(server)
            del self.servers[frontend]
            return
        ((frontend, told),) = parse_servers(f"{server}\n-a {option} {where} {' '.join(rest)}\n").items()
        ((text, real),) = told.real.items()
        held = self.servers[frontend].real
        assert (text in held) == (verb != "-a"), line
        if verb == "-d":
            del held[text]
        else:
            assert verb in ("-a", "-e"), line
            held[text] = real

    def _address(self, line: str) -> None:
        verb, prefix = line.split()
        assert (prefix in self.addresses) == (verb == "del"), line
        if verb == "del":
            del self.addresses[prefix]
        else:
            self.addresses[prefix] = None
