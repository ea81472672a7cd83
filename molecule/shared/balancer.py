"""What the tests of all scenarios ask of a load balancer, and of the client and endpoints around it."""

from __future__ import annotations

import json
import shlex

import testinfra.host


class Node:
    """A load balancer; the client and the endpoints are namespaces that hang on it."""

    def __init__(self, host: testinfra.host.Host) -> None:
        self.host = host

    def rules(self, table: str, save: str = "iptables-save") -> list[str]:
        """The rules of a table, in order, as iptables-save writes them."""
        saved = self.host.check_output("%s -t %s", save, table)
        return [line for line in saved.splitlines() if line.startswith("-A ")]

    def ask(
        self, protocol: str, address: str, port: int, *, where: str = "client", source: str = "", count: int = 1
    ) -> dict[str, int]:
        """Send requests from the namespace ``where`` (``""``: the node); each answer and how often it came."""
        words = [f"--count={count}", f"--source={source}", protocol, address, str(port)]
        answers: dict[str, int] = json.loads(self.client(where, words))
        assert sum(answers.values()) == count
        return answers

    def client(self, where: str, words: list[str]) -> str:
        """What ``client.py`` prints in a namespace of the node, or on the node itself."""
        enter = ["ip", "netns", "exec", where] if where else []
        command = shlex.join([*enter, "/opt/sluice-test/client.py", *words])
        return str(self.host.check_output(command.replace("%", "%%")))
