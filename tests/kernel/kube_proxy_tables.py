"""Tables as kube-proxy's nftables mode makes them, written by hand after ../shared/kube-proxy-rules.md, section 4.

In them are a Service of each kind: session affinity, a source range, policy Local, no endpoints, node ports.
"""

from __future__ import annotations

IPV4 = """
table ip kube-proxy {
    comment "rules for kube-proxy"
    set cluster-ips {
        type ipv4_addr
        comment "Active ClusterIPs"
        elements = { 10.96.0.1, 10.96.0.2, 10.96.0.3, 10.96.0.4 }
    }
    set hairpin-connections {
        type ipv4_addr . ipv4_addr . inet_proto . inet_service
        comment "Hairpin connections"
        elements = { 10.244.1.5 . 10.244.1.5 . tcp . 8080 }
    }
    set nodeport-ips {
        type ipv4_addr
        elements = { 10.0.0.10 }
    }
    set affinity-A-shop/sticky/tcp/http__10.244.1.5/8080 {
        type ipv4_addr
        flags dynamic,timeout
        timeout 3h
    }
    set affinity-B-shop/sticky/tcp/http__10.244.2.5/8080 {
        type ipv4_addr
        flags dynamic,timeout
        timeout 3h
        elements = { 198.51.100.9 }
    }
    map no-endpoint-nodeports {
        type inet_proto . inet_service : verdict
        elements = { tcp . 30003 comment "shop/none:http" : goto reject-chain, tcp . 30004 : drop }
    }
    map no-endpoint-services {
        type ipv4_addr . inet_proto . inet_service : verdict
        comment "vmap to drop or reject packets to services with no endpoints"
        elements = { 10.96.0.3 . tcp . 80 comment "shop/none:http" : goto reject-chain, 203.0.113.9 . tcp . 80 : drop }
    }
    map firewall-ips {
        type ipv4_addr . inet_proto . inet_service : verdict
        elements = { 203.0.113.1 . tcp . 80 comment "shop/web:http" : goto firewall-C-shop/web/tcp/http }
    }
    map service-ips {
        type ipv4_addr . inet_proto . inet_service : verdict
        elements = {
            10.96.0.1 . tcp . 80 comment "shop/web:http" : goto service-C-shop/web/tcp/http,
            10.96.0.2 . tcp . 80 : goto service-D-shop/sticky/tcp/http,
            10.96.0.4 . udp . 53 : goto service-E-kube-system/dns/udp/,
            203.0.113.1 . tcp . 80 : goto external-C-shop/web/tcp/http
        }
    }
    map service-nodeports {
        type inet_proto . inet_service : verdict
        elements = {
            tcp . 30001 : goto external-C-shop/web/tcp/http,
            tcp . 30002 : goto external-D-shop/sticky/tcp/http
        }
    }
    chain filter-prerouting-pre-dnat {
        type filter hook prerouting priority dstnat - 10; policy accept;
        ct state new jump firewall-check
    }
    chain filter-output-pre-dnat {
        type filter hook output priority -110; policy accept;
        ct state new jump firewall-check
    }
    chain filter-input {
        type filter hook input priority filter; policy accept;
        ct state new jump nodeport-endpoints-check
        ct state new jump service-endpoints-check
    }
    chain filter-forward {
        type filter hook forward priority filter; policy accept;
        ct state new jump service-endpoints-check
        ct state new jump cluster-ips-check
    }
    chain filter-output {
        type filter hook output priority filter; policy accept;
        ct state new jump service-endpoints-check
        ct state new jump cluster-ips-check
    }
    chain nat-output {
        type nat hook output priority -100; policy accept;
        jump services
    }
    chain nat-postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        jump masquerading
    }
    chain nat-prerouting {
        type nat hook prerouting priority dstnat; policy accept;
        jump services
    }
    chain nodeport-endpoints-check {
        ip daddr @nodeport-ips meta l4proto . th dport vmap @no-endpoint-nodeports
    }
    chain service-endpoints-check {
        ip daddr . meta l4proto . th dport vmap @no-endpoint-services
    }
    chain firewall-check {
        ip daddr . meta l4proto . th dport vmap @firewall-ips
    }
    chain services {
        ip daddr @cluster-ips ip saddr != 10.244.0.0/16 mark set mark or 0x4000
        ip daddr . meta l4proto . th dport vmap @service-ips
        ip daddr @nodeport-ips meta l4proto . th dport vmap @service-nodeports
    }
    chain masquerading {
        mark and 0x4000 != 0 mark set mark xor 0x4000 masquerade fully-random
        ip saddr . ip daddr . meta l4proto . th dport @hairpin-connections masquerade fully-random
    }
    chain cluster-ips-check {
        ip daddr @cluster-ips reject comment "Reject traffic to invalid ports of ClusterIPs"
        ip daddr { 10.96.0.0/16 } drop comment "Drop traffic to unallocated ClusterIPs"
    }
    chain reject-chain {
        reject
    }
    chain service-C-shop/web/tcp/http {
        meta l4proto tcp dnat ip to numgen random mod 2 map { 0 : 10.244.1.5 . 8080, 1 : 10.244.2.5 . 8080 }
    }
    chain external-C-shop/web/tcp/http {
        ip saddr 10.244.0.0/16 goto service-C-shop/web/tcp/http comment "short-circuit pod traffic"
        fib saddr type local mark set mark or 0x4000 comment "masquerade local traffic"
        fib saddr type local goto service-C-shop/web/tcp/http comment "short-circuit local traffic"
        goto local-C-shop/web/tcp/http
    }
    chain local-C-shop/web/tcp/http {
        meta l4proto tcp dnat ip to numgen random mod 1 map { 0 : 10.244.1.5 . 8080 }
    }
    chain firewall-C-shop/web/tcp/http {
        ip saddr != { 192.0.2.0/24, 198.51.100.0/25, 203.0.113.77 } drop
    }
    chain service-D-shop/sticky/tcp/http {
        ip saddr @affinity-A-shop/sticky/tcp/http__10.244.1.5/8080 goto endpoint-A-shop/sticky/tcp/http__10.244.1.5/8080
        ip saddr @affinity-B-shop/sticky/tcp/http__10.244.2.5/8080 goto endpoint-B-shop/sticky/tcp/http__10.244.2.5/8080
        numgen random mod 2 vmap { 0 : goto endpoint-A-shop/sticky/tcp/http__10.244.1.5/8080, \
1 : goto endpoint-B-shop/sticky/tcp/http__10.244.2.5/8080 }
    }
    chain external-D-shop/sticky/tcp/http {
        mark set mark or 0x4000 comment "masquerade"
        goto service-D-shop/sticky/tcp/http
    }
    chain endpoint-A-shop/sticky/tcp/http__10.244.1.5/8080 {
        update @affinity-A-shop/sticky/tcp/http__10.244.1.5/8080 { ip saddr }
        meta l4proto tcp dnat to 10.244.1.5:8080
    }
    chain endpoint-B-shop/sticky/tcp/http__10.244.2.5/8080 {
        update @affinity-B-shop/sticky/tcp/http__10.244.2.5/8080 { ip saddr timeout 1h30m }
        meta l4proto tcp dnat to 10.244.2.5:8080
    }
    chain service-E-kube-system/dns/udp/ {
        meta l4proto udp dnat ip to numgen random mod 3 map { 0 : 10.244.1.5 . 53, \
1 : 10.244.1.6 . 53, 2 : 10.244.2.7 . 53 }
    }
}
"""

IPV6 = """
table ip6 kube-proxy {
    set cluster-ips {
        type ipv6_addr
        elements = { fd00:96::1 }
    }
    map service-ips {
        type ipv6_addr . inet_proto . inet_service : verdict
        elements = { fd00:96::1 . tcp . 80 : goto service-A }
    }
    chain nat-prerouting {
        type nat hook prerouting priority dstnat; policy accept;
        ip6 daddr @cluster-ips ip6 saddr != fd00:1::/64 mark set mark or 0x4000
        ip6 daddr . meta l4proto . th dport vmap @service-ips
    }
    chain nat-postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        mark and 0x4000 != 0 mark set mark xor 0x4000 masquerade fully-random
    }
    chain service-A {
        numgen random mod 2 vmap { 0 : goto endpoint-A, 1 : goto service-B }
    }
    chain endpoint-A {
        meta l4proto tcp dnat to [fd00:1::5]:8080
    }
    chain service-B {
        meta l4proto tcp dnat ip6 to numgen random mod 2 map { 0 : fd00:1::6 . 80, 1 : fd00:1::7 . 80 }
    }
}
"""
