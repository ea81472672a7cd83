"""How Sphinx makes pages of what antsibull-docs wrote. Nothing is fetched: what Ansible itself documents is linked."""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx

project = "sluice.lb"
extensions = ["sphinx_antsibull_ext"]
html_theme = "sphinx_rtd_theme"
html_copy_source = False
html_show_copyright = False
html_show_sphinx = False
highlight_language = "YAML+Jinja"
default_role = "any"

ANSIBLE = "https://docs.ansible.com/ansible/latest/"
LABELS = {
    "action_plugins": ANSIBLE + "plugins/action.html",
    "ansible_configuration_settings": ANSIBLE + "reference_appendices/config.html",
    "callback_plugins": ANSIBLE + "plugins/callback.html",
    "common_return_values": ANSIBLE + "reference_appendices/common_return_values.html",
}


def link_to_ansible(
    _app: Sphinx, _environment: object, node: nodes.Element, content: nodes.Element
) -> nodes.Node | None:
    """A reference to one of LABELS leads to a page of Ansible's; any other is reported as broken."""
    target = LABELS.get(node["reftarget"])
    return nodes.reference("", "", content, refuri=target, internal=False) if target else None


def setup(app: Sphinx) -> None:
    app.connect("missing-reference", link_to_ansible)
