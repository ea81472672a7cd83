"""The filter nodes gives the settings of all load balancers; of those that are not in the play, what can be known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from ansible.errors import AnsibleError, AnsibleFilterError, AnsibleUndefinedVariable
from ansible_collections.sluice.lb.plugins.filter.nodes import FilterModule

from sluice.settings import Settings, to_variables

nodes = FilterModule().filters()["nodes"]


class Templated(Mapping[str, Any]):
    """Variables of a host of which one cannot be known yet."""

    def __getitem__(self, name: str) -> Any:
        if name == "sluice_node_ips":
            raise AnsibleUndefinedVariable("'ansible_facts' is undefined")
        return {"inventory_hostname": "lb3"}[name]

    def __iter__(self) -> Iterator[str]:
        return iter(["inventory_hostname", "sluice_node_ips"])

    def __len__(self) -> int:
        return 2


HOSTVARS = {
    "lb1": {"inventory_hostname": "lb1", "ansible_host": "10.0.0.1"},
    "lb2": {"inventory_hostname": "lb2", "sluice_masquerade_bit": 99},
    "lb3": Templated(),
    "web1": {"inventory_hostname": "web1"},
}


def test_as_the_inventory_has_them() -> None:
    known = Settings(node_name="lb1", node_addresses=("127.0.0.1", "::1", "10.0.0.1"))
    assert nodes(HOSTVARS, ["lb1"], ["lb1"]) == [to_variables(known)]
    assert nodes(HOSTVARS, []) == []


def test_what_another_run_is_about_stops_nobody() -> None:
    assert [node["sluice_node_name"] for node in nodes(HOSTVARS, ["lb1", "lb2", "lb3"], ["lb1"])] == ["lb1"]


@pytest.mark.parametrize(("name", "error"), [("lb2", AnsibleFilterError), ("lb3", AnsibleError)])
def test_a_host_of_the_play_has_to_be_right(name: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        nodes(HOSTVARS, ["lb1", name], ["lb1", name])
