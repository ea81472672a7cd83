"""What a rule set does to packets, and what it means: of this node, or of any dump of any kube-proxy.

It reads what backends write and kernels' tools print, and asks nobody. ``walk`` leads a packet through chains of rules,
whoever's they are; ``iptables``, ``ipvs`` and ``nftables`` say what each rule asks and does.
"""
