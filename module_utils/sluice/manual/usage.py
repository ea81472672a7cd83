"""Examples and exit codes of each command: what ``--help`` says after the options, and the manual page as well."""

from __future__ import annotations

from typing import NamedTuple


class Usage(NamedTuple):
    """What a command is called for, and what its exit code says.

    ``examples``: lines of a shell, and what each is good for. ``codes``: by number.
    """

    examples: tuple[tuple[str, str], ...]
    codes: dict[int, str]


_NO_MANIFESTS = "manifests or settings are not valid: each fault is a line on stderr"
_NOT_READ = "something could not be read or written: stderr says what"
_NOT_DONE = "it could not be done: stderr says why"

USAGES = {
    "render": Usage(
        (
            ("sluice render --settings group_vars/load_balancers.yml --out lb1 services", "to look at the rules"),
            ("sluice render --settings settings.yml --backend ipvs --out lb1 web.yml dns.yml", "with another backend"),
        ),
        {0: "the files are written", 1: f"{_NO_MANIFESTS}, and nothing was written", 2: _NOT_READ},
    ),
    "validate": Usage(
        (
            ("sluice validate services", "before a commit"),
            ("sluice validate -i inventory/mine/hosts.yml", "what a run would say, where Ansible is"),
            ("sluice validate --settings group_vars/load_balancers.yml services", "with the networks of the settings"),
        ),
        {0: "they are valid; warnings are lines on stderr", 1: _NO_MANIFESTS, 2: _NOT_READ},
    ),
    "allocate": Usage(
        (
            ("sluice allocate --check --allocations allocations.yml services", "what would be given, and freed"),
            ("sluice allocate --allocations allocations.yml services", "give it, and keep it in the file"),
        ),
        {0: "each Service has what it needs", 1: f"{_NO_MANIFESTS}, and nothing was written", 2: _NOT_READ},
    ),
    "get": Usage(
        (
            ("sluice get services -A", "what this node was given"),
            ("sluice get endpoints -n shop -o yaml services", "of manifests, to be read again"),
            ("sluice get svc -i inventory/mine/hosts.yml -l app=web", "of an inventory, where Ansible is"),
        ),
        {0: "it is printed, also where there is none", 1: _NO_MANIFESTS, 2: _NOT_READ},
    ),
    "apply": Usage(
        (
            ("sluice apply --check --diff", "what would change, chain by chain"),
            ("sluice apply --check --exit-code", "for scripts: whether anything would change"),
            ("sluice apply --confirm 30", "taken back in 30 seconds, unless sluice confirm comes before"),
        ),
        {
            0: "the kernel is as the files say, or with --check could be made so",
            1: "with --exit-code: something changed, or with --check would change",
            2: _NOT_DONE,
        },
    ),
    "confirm": Usage(
        (("sluice confirm", "after sluice apply --confirm"),),
        {0: "the change stays, or none waited", 2: "it was too late, the change is taken back"},
    ),
    "drain": Usage(
        (
            ("sluice drain --check 192.0.2.21", "what it would change"),
            ("sluice drain 192.0.2.21 192.0.2.22", "before work on two servers"),
            ("sluice drain --node", "before work on this load balancer, where routers ask it"),
            ("sluice drain", "after a server was taken out: IPVS keeps its connections"),
        ),
        {0: "it is done; without an address, the line says whether anything is left", 2: _NOT_DONE},
    ),
    "undrain": Usage(
        (("sluice undrain 192.0.2.21 192.0.2.22", "after that work"),),
        {0: "they serve again, as the catalogue says", 2: _NOT_DONE},
    ),
    "health": Usage(
        (
            ("sluice health", "which endpoints answer, and why not"),
            ("sluice health --json", "for a monitor"),
            ("sluice health --metrics", "for Prometheus: what the supervisor also writes to a file"),
        ),
        {
            0: "all that is known answers; --metrics: the numbers are there",
            1: "something is down",
            2: "it could not be asked: stderr says why",
        },
    ),
    "status": Usage(
        (
            ("sluice status", "what this node is, and since when"),
            ("sluice status --json", "for a monitor"),
            ("sluice status --metrics", "for Prometheus: the numbers of this node"),
            (
                "sluice status --metrics --out /var/lib/prometheus/node-exporter/sluice.prom",
                "for node_exporter's textfile collector, as the node's own timer does",
            ),
        ),
        {
            0: "all is well; --out: the file is written, whatever is in it",
            1: "something is to be looked after: drift, a change, a route, or room for connections",
            2: "it could not be asked: stderr says why",
        },
    ),
    "top": Usage(
        (
            ("sluice top", "which Services and endpoints are busy, until q is pressed"),
            ("sluice top --once --interval 10", "what went through in ten seconds"),
            ("sluice top --once --json", "for a program: the difference of two looks, two seconds apart"),
        ),
        {0: "it is printed", 1: "the node's catalogue is damaged", 2: "it could not be read: stderr says why"},
    ),
    "history": Usage(
        (("sluice history", "what this node was, and who changed it"),),
        {0: "it is printed", 2: "it could not be asked: stderr says why"},
    ),
    "remove": Usage(
        (
            ("sluice remove --check", "how much would go"),
            ("sluice remove", "before a kube-proxy starts here, or after it has: what is its stays"),
        ),
        {0: "nothing of Sluice is in the kernel", 2: "it could not be done: stderr says why"},
    ),
    "rollback": Usage(
        (
            ("sluice rollback --check", "what it would change"),
            ("sluice rollback", "the rules that were in force before"),
            ("sluice rollback --to 5", "one of those that sluice history lists"),
        ),
        {0: "they are in force again", 2: "there are none, or it could not be done: stderr says why"},
    ),
    "trace": Usage(
        (
            ("sluice trace --to 10.96.0.10:80", "of this node, as root: endpoints, chances, and each rule on the way"),
            ("sluice trace --to shop/web:http --from 192.0.2.7", "every address of a Service, for one client"),
            ("sluice trace --to 192.0.2.1:30080/udp --dump rules.txt addresses.txt --json", "of any node, as JSON"),
            ("sluice trace --to 203.0.113.10:80 --from 192.0.2.7 --ask", "and which endpoints take no connection"),
            ("sluice trace --to shop/web --svg", "a picture; with --mermaid: for a page of GitHub"),
        ),
        {
            0: "the packet goes on, to an endpoint or as it came",
            1: "it is refused or dropped, certainly or by chance",
            2: "it cannot be told: stderr says why",
        },
    ),
    "explain": Usage(
        (
            (
                "sluice explain --dump rules.txt",
                "what iptables-save printed on any node, whatever program made the rules",
            ),
            (
                "sluice explain --dump rules.txt sets.txt servers.txt addresses.txt",
                "of IPVS, with all that belongs to it",
            ),
            ("sluice explain --dir lb1 --json", "of files that sluice render wrote, for programs"),
        ),
        {
            0: "it is printed, and nothing odd hurts packets",
            1: "it is printed, and something odd hurts packets: lines that begin with !",
            2: "a dump could not be read: stderr says which and why",
        },
    ),
    "import": Usage(
        (
            ("sluice import --dump rules rules6 addresses --out mine", "what a node has, to be managed here"),
            ("sluice import --dump rules sets servers --node-name lb1 --out mine", "of another host, in IPVS mode"),
        ),
        {
            0: "the files are written; what no rule tells is a warning on stderr",
            2: "a dump could not be read, or has no Services of kube-proxy: stderr says why",
        },
    ),
    "diff": Usage(
        (
            ("sluice diff", "whether somebody has changed our rules"),
            ("sluice diff --dir lb1", "what other files would change"),
        ),
        {
            0: "the kernel is as the files say",
            1: "it differs: the lines say how",
            2: "it could not be asked: stderr says why",
        },
    ),
}

CODES = {0: "fine", 1: "the answer is no: not valid, differs", 2: "it could not be asked or done"}
"""What an exit code means, whatever the command."""


def epilog(command: str) -> str:
    """The end of a command's help. Without a command, of that of them all."""
    if not command:
        return _titled("exit codes", _listed(CODES)) + "\n\nMore: sluice COMMAND --help, man sluice"
    usage = USAGES.get(command, Usage((), CODES))
    lines = [line for example, purpose in usage.examples for line in (f"  {example}", f"      {purpose}")]
    examples = _titled("examples", lines) + "\n\n" if lines else ""
    return examples + _titled("exit codes", _listed(usage.codes))


def _listed(codes: dict[int, str]) -> list[str]:
    return [f"  {code}  {meaning}" for code, meaning in codes.items()]


def _titled(title: str, lines: list[str]) -> str:
    return "\n".join([f"{title}:", *lines])
