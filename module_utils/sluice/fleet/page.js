"use strict";
// All of the page is made here, by createElement and textContent: nothing that a node says is read as markup.
(() => {
  const FIRST = 150; // rows that are drawn at once; more as one scrolls
  const SMALL_P = 0.0001, MOST_DRAWN = 40;
  const WHOLE = 1, BY_CONNTRACK = 2;
  const WHY = {
    one: "one endpoint at most: nothing is shared out",
    sticky: "session affinity: connections of one client are not drawn one by one, so no test fits",
    mixed: "two traffic policies share the endpoints out, and counters do not tell which one chose: no test fits",
    scheduled: "the scheduler looks at clients or at what is open, not at weights alone: no test fits",
    uncounted: "connections were not counted by endpoint",
    few: "too few new connections to say: each endpoint has to be expected to have 5 at least",
  };
  const BRIEF = { one: "", sticky: "sticky", mixed: "two policies", scheduled: "scheduler", uncounted: "not counted",
    few: "too few" };
  const $ = (id) => document.getElementById(id);
  let data, rows, live;

  // --- elements

  function h(name, given, ...inside) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(given || {})) {
      if (value === undefined || value === null || value === false) continue;
      if (key === "on") for (const [event, act] of Object.entries(value)) made.addEventListener(event, act);
      else if (key === "css") for (const [property, text] of Object.entries(value)) made.style[property] = text;
      else made.setAttribute(key, value === true ? "" : String(value));
    }
    made.append(...inside.flat().filter((each) => each !== null && each !== undefined && each !== ""));
    return made;
  }
  function s(name, given, ...inside) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(given || {})) made.setAttribute(key, String(value));
    made.append(...inside);
    return made;
  }
  const badge = (kind, text) => h("span", { class: "badge " + kind }, text);
  const list = (lines, kind) => h("ul", { class: "lines " + (kind || "") }, lines.map((line) => h("li", {}, line)));

  // --- words

  const exact = (number) => String(Math.round(number)).replace(/\B(?=(\d{3})+$)/g, ",");
  function short(number, step, units) {
    let unit = 0;
    while (number >= step && unit < units.length - 1) { number /= step; unit += 1; }
    return (unit && number < 100 ? number.toFixed(1) : String(Math.round(number))) + units[unit];
  }
  const amount = (number) => short(number, 1000, ["", "k", "M", "G", "T", "P"]);
  const size = (number) => short(number, 1024, [" B", " KiB", " MiB", " GiB", " TiB", " PiB"]);
  const several = (number, thing) => exact(number) + " " + thing + (number === 1 ? "" : "s");
  const p_text = (p) => p < 0.001 ? p.toExponential(1) : p.toFixed(3);
  const utc = (seconds) => new Date(seconds * 1000).toISOString().slice(0, 16).replace("T", " ") + " UTC";
  const date = (text) => String(text || "").slice(0, 16).replace("T", " ");
  function fraction(text) {
    const [over, under] = String(text).split("/").map(Number);
    return under ? over / under : over;
  }
  function backend(node) {
    const { backend: name } = node.status, { compat, iptables_dispatch: dispatch } = node.settings;
    const variant = node.layers.filter((each) => each.startsWith("iptables-")).map((each) => each.slice(9));
    const more = [name === "iptables" ? variant.join("+") : "", name === "nftables" ? "" : compat,
      name === "iptables" && dispatch === "prefix" ? "prefix" : ""];
    return [name || "none", more.filter(Boolean).join(", ")];
  }
  const way_text = (way) => (way[0] ? (way[0].includes(":") ? "[" + way[0] + "]" : way[0]) : "*") + ":" + way[1];

  // --- what the columns of the nodes say of a row

  function prepare() {
    live = data.nodes.filter((node) => node.status).map((node, at) => ({ ...node, ...data.at[at], number: at }));
    let offset = 0;
    rows = data.rows.map((row, at) => {
      const slash = row.name.indexOf("/");
      const found = { ...row, at, offset, namespace: slash < 0 ? "" : row.name.slice(0, slash) };
      found.rest = slash < 0 ? row.name : row.name.slice(slash + 1);
      offset += row.ends.length;
      const ways = row.forms.flatMap((form) => form.groups.flatMap((group) => group.ways));
      found.ways = [...new Map(ways.map((way) => [way_text(way), way])).values()];
      const served = new Set(row.forms.flatMap((form) => form.groups.flatMap(
        (group) => [...group.cluster, ...group.local].map((each) => each[0]))));
      const out = new Set(row.forms.flatMap((form) => form.absent.filter((each) => each[1]).map((each) => each[0])));
      found.serving = served.size;
      found.out = [...out].filter((end) => !served.has(end)).length;
      found.partly = [...out].filter((end) => served.has(end)).length;
      found.text = [row.name, row.protocol, row.type, ...row.ends, ...found.ways.map(way_text),
        ...row.forms.flatMap((form) => form.groups.flatMap((group) => [...group.ways.map((way) => way[3]),
          ...[...group.cluster, ...group.local].map((each) => each[2])]))].join("\n").toLowerCase();
      return found;
    });
  }
  const key_of = (row) => "svc=" + row.name + (row.protocol === "TCP" ? "" : "," + row.protocol.toLowerCase());
  function totals(row, nodes) {
    const sum = [0, 0, 0, 0, 0];
    let counted = false, how = 0;
    for (const node of nodes) {
      const five = node.total.slice(row.at * 5, row.at * 5 + 5);
      if (five[0] < 0) continue;
      counted = true;
      how |= node.how[row.at];
      five.forEach((number, place) => { sum[place] += number; });
    }
    return { sum, counted, how };
  }
  const verdict_of = (row, nodes) => nodes.length === 1 ? nodes[0].verdict[row.at] : row.verdict;
  const got_by = (row, node) => node.connections.slice(row.offset, row.offset + row.ends.length);
  function chosen(group) {
    const kinds = Object.values(group.chooses);
    return kinds.length && kinds.every(Boolean) ? group.local : group.cluster;
  }
  // What each endpoint got, and was expected to get: of what a node's endpoints got, its share in that node's rules.
  function shared(row, nodes) {
    const got = row.ends.map(() => 0), fair = row.ends.map(() => 0);
    for (const node of nodes) {
      const form = row.forms[node.form[row.at]];
      if (!form) continue;
      const here = got_by(row, node);
      here.forEach((number, end) => { got[end] += number; });
      for (const group of form.groups) {
        const ends = chosen(group), sum = ends.reduce((total, each) => total + here[each[0]], 0);
        for (const [end, share] of ends) fair[end] += sum * fraction(share);
      }
    }
    return { got, fair };
  }

  // --- at a glance

  function tile(kind, name, figure, said) {
    return h("div", { class: "tile " + kind }, h("dt", {}, name), h("dd", { class: "figure" }, figure),
      h("dd", { class: "said" }, said));
  }
  function glance() {
    const lost = data.nodes.filter((node) => node.failed && node.failed !== "not asked");
    const left = data.nodes.filter((node) => node.failed === "not asked");
    const ill = live.filter((node) => node.trouble.length), catalogues = new Set(live.map((node) => node.catalogue));
    const troubled = rows.filter((row) => row.trouble.length);
    const drifted = live.filter((node) => node.status.drift), unknown = live.filter((node) => node.status.drift === null);
    $("made").textContent = "as they were at " + utc(data.made) + ", sluice " + data.version;
    if (lost.length) {
      $("banners").append(h("div", { class: "banner bad", id: "lost" },
        h("strong", {}, several(lost.length, "node") + " could not be asked: what this page says is without "
          + (lost.length === 1 ? "it" : "them")),
        h("ul", {}, lost.map((node) => h("li", {}, h("b", {}, node.name), " is " + node.failed + ": " + node.why)))));
    }
    if (left.length) {
      $("banners").append(h("div", { class: "banner warn" }, "Not asked, as the run was limited to others: "
        + left.map((node) => node.name).join(", ")));
    }
    if (catalogues.size > 1) {
      $("banners").append(h("div", { class: "banner warn", id: "differ" }, h("strong", {},
        "Nodes have " + catalogues.size + " different catalogues"), h("ul", {}, [...catalogues].map((digest) =>
        h("li", {}, h("span", { class: "mono" }, digest), ": " + live.filter((node) => node.catalogue === digest)
          .map((node) => node.name + " (generation " + node.status.generation + ")").join(", "))))));
    }
    const serving = rows.reduce((sum, row) => sum + row.serving, 0);
    const out = rows.reduce((sum, row) => sum + row.out + row.partly, 0);
    const rules = live.reduce((sum, node) => sum + Object.values(node.rules).reduce((all, each) => all + each, 0), 0);
    const flows = live.reduce((sum, node) => sum + node.status.connections, 0);
    $("tiles").append(
      tile(lost.length ? "bad" : ill.length ? "warn" : "good", "Nodes", live.length + " of " + data.nodes.length,
        lost.length ? lost.length + " could not be asked" : ill.length ? ill.length + " with findings" : "all well"),
      tile(drifted.length ? "bad" : unknown.length ? "warn" : "good", "Drift",
        drifted.length ? several(drifted.length, "node") : unknown.length ? "?" : "none",
        drifted.length ? drifted.map((node) => node.name).join(", ")
          : unknown.length ? "not known on " + unknown.length : "kernels hold what files say"),
      tile(catalogues.size > 1 ? "warn" : "good", "Catalogues", String(catalogues.size),
        catalogues.size > 1 ? "nodes differ" : "the same everywhere"),
      tile(troubled.length ? "warn" : "good", "Service ports", exact(rows.length),
        troubled.length ? troubled.length + " with trouble" : "all served"),
      tile(out ? "warn" : "good", "Endpoints", exact(serving), out ? out + " out or not ready" : "all serve"),
      tile("", "Rules and elements", amount(rules), "of all nodes"),
      tile("", "Connections now", amount(flows), "in conntrack, of all nodes"),
    );
  }

  // --- tables that can be sorted

  function sortable(table, caption, columns, items, state, draw) {
    const head = h("tr", {}, columns.map((column, place) => {
      const sorted = state.by === place;
      return h("th", { scope: "col", class: column.number ? "number" : "", "aria-sort":
        sorted ? (state.down ? "descending" : "ascending") : "none" },
      h("button", { type: "button", "data-column": column.name, on: { click: () => {
        state.down = state.by === place ? !state.down : Boolean(column.number);
        state.by = place;
        draw();
        table.querySelectorAll("thead button")[place].focus();
      } } }, column.name));
    }));
    const { value } = columns[state.by] || {}, sign = state.down ? -1 : 1;
    const order = value ? items.map((item, at) => [value(item), at, item]).sort((one, other) => {
      const less = typeof one[0] === "number" ? one[0] - other[0]
        : String(one[0]).localeCompare(String(other[0]), "en", { numeric: true });
      return less ? sign * less : one[1] - other[1];
    }).map((each) => each[2]) : items;
    const body = h("tbody");
    table.replaceChildren(h("caption", { class: "skip" }, caption), h("thead", {}, head), body);
    return [body, order];
  }

  const by_node = { by: -1, down: false };
  function outcome(node) {
    const { status } = node;
    if (status.last_error) return ["bad", "failed"];
    if (status.rolled_back) return ["bad", "taken back"];
    if (status.pending) return ["warn", "to be confirmed"];
    return status.generation ? ["good", "went well"] : ["", "none"];
  }
  const drift = (node) => node.status.drift === null ? ["warn", "not known"]
    : node.status.drift ? ["bad", several(node.status.drift_lines, "line")] : ["good", "none"];
  const count_rules = (node) => Object.values(node.rules).reduce((sum, each) => sum + each, 0);
  function findings(node) {
    const odd = node.odd.filter((each) => !each.hurts), lines = [...node.trouble];
    const out = [...(node.status.drained_node ? ["this node is drained: routers leave it"] : []), ...node.out];
    const { health } = node.status;
    return h("td", { class: "small found" },
      lines.length ? badge("bad", several(lines.length, "finding")) : badge("good", "well"),
      out.length ? [" ", badge("warn", out.length + " out")] : null,
      lines.length ? list(lines, "bad") : null, out.length ? list(out, "warn") : null,
      h("details", {}, h("summary", {}, "more"), h("dl", {}, [
        ["host", node.status.node], ["engine", node.status.version], ["families", (node.settings.ip_families || []).join(", ")],
        ["health", health.on ? several(health.checks || 0, "check") + ", " + (health.down || 0) + " down" : "off"],
        ["asked at", utc(node.time)], ["since", date(node.status.since) + " UTC"],
        ...Object.entries(node.rules).map(([file, count]) => [file, several(count, "rule") + " or elements"]),
        ...odd.map((each) => ["odd", each.what + " (" + each.where + "): " + each.effect + " " + each.remedy]),
      ].flatMap(([name, text]) => [h("dt", {}, name), h("dd", {}, text)]))));
  }
  const NODE_COLUMNS = [
    { name: "Node", value: (node) => node.name },
    { name: "Backend", value: (node) => node.status ? backend(node).join(" ") : "" },
    { name: "Generation", number: true, value: (node) => node.status ? node.status.generation : -1 },
    { name: "Last apply", value: (node) => node.status ? node.status.since || "" : "" },
    { name: "Drift", value: (node) => node.status ? node.status.drift_lines || 0 : -1, number: true },
    { name: "Services", number: true, value: (node) => node.status ? node.status.services || 0 : -1 },
    { name: "Endpoints ready", number: true, value: (node) => node.status ? node.status.ready || 0 : -1 },
    { name: "Rules", number: true, value: (node) => node.status ? count_rules(node) : -1 },
    { name: "Connections", number: true, value: (node) => node.status ? node.status.connections : -1 },
    { name: "Catalogue", value: (node) => node.catalogue || "" },
    { name: "Findings", value: (node) => node.trouble ? node.trouble.length : 99, number: false },
  ];
  function draw_nodes() {
    const usual = most(live.map((node) => node.catalogue));
    const all = data.nodes.map((node) => live.find((each) => each.name === node.name) || node);
    const [body, order] = sortable($("nodes"), "Nodes of the inventory", NODE_COLUMNS, all, by_node, draw_nodes);
    body.append(...order.map((node) => {
      if (!node.status) {
        return h("tr", { class: node.failed === "not asked" ? "" : "lost" }, h("td", {}, h("b", {}, node.name)),
          h("td", { colspan: NODE_COLUMNS.length - 1 }, node.failed.toUpperCase() + (node.why ? ": " + node.why : "")));
      }
      const { status } = node, [name, more] = backend(node), went = outcome(node);
      const who = status.by ? [status.by.user, status.by.by].filter(Boolean).join(", ") : "";
      return h("tr", { "data-node": node.name },
        h("td", {}, h("b", {}, node.name)),
        h("td", {}, name, more ? h("div", { class: "muted small" }, more) : null),
        h("td", { class: "number" }, String(status.generation)),
        h("td", { class: "small" }, badge(...went), h("div", { class: "muted nowrap" }, date(status.since)),
          h("div", { class: "muted" }, who ? "by " + who : "")),
        h("td", { class: "number" }, badge(...drift(node))),
        h("td", { class: "number" }, status.services === null ? "?" : exact(status.services)),
        h("td", { class: "number" }, status.ready === null ? "?" : exact(status.ready) + " of " + exact(status.endpoints)),
        h("td", { class: "number" }, exact(count_rules(node))),
        h("td", { class: "number" }, exact(status.connections),
          h("div", { class: "muted small" }, status.connections_max ? "of " + amount(status.connections_max) : "")),
        h("td", {}, h("span", { class: "mono nowrap" }, node.catalogue),
          node.catalogue === usual ? null : h("div", {}, badge("warn", "differs"))),
        findings(node));
    }));
    $("nodes-said").textContent = live.length + " of " + data.nodes.length + " told of themselves";
  }
  function most(texts) {
    const counts = new Map();
    for (const text of texts) counts.set(text, (counts.get(text) || 0) + 1);
    return [...counts].sort((one, other) => other[1] - one[1]).map((each) => each[0])[0];
  }

  // --- Services

  const by_service = { by: -1, down: false };
  let shown = [], drawn = 0, body;
  function asked() {
    const node = live.find((each) => each.name === $("of-node").value), name = $("of-backend").value;
    return node ? [node] : live.filter((each) => !name || each.status.backend === name);
  }
  function matches() {
    const words = $("search").value.toLowerCase().split(/\s+/).filter(Boolean), space = $("of-namespace").value;
    const nodes = asked(), all = nodes.length === live.length, only = $("only-trouble").checked;
    return rows.filter((row) => (!space || row.namespace === space) && (!only || row.trouble.length)
      && (all || nodes.some((node) => node.form[row.at] >= 0)) && words.every((word) => row.text.includes(word)));
  }
  const p_order = (verdict) => typeof verdict === "number" ? verdict : 2;
  const SERVICE_COLUMNS = [
    { name: "Service", value: (row) => row.name + " " + row.protocol },
    { name: "Type", value: (row) => row.type },
    { name: "Addresses", value: (row) => row.ways.map(way_text).join(" ") },
    { name: "Endpoints", number: true, value: (row) => row.serving - row.out },
    { name: "Connections", number: true, value: (row) => row.now.sum[0] },
    { name: "Packets", number: true, value: (row) => row.now.sum[1] + (row.now.how & WHOLE ? row.now.sum[3] : 0) },
    { name: "Bytes", number: true, value: (row) => row.now.sum[2] + (row.now.how & WHOLE ? row.now.sum[4] : 0) },
    { name: "Shares, p", number: true, value: (row) => p_order(verdict_of(row, row.nodes)) },
    { name: "State", value: (row) => (row.trouble.length ? 0 : 1) + row.trouble.join(" ") },
  ];
  function draw_services() {
    const nodes = asked();
    const items = matches();
    for (const row of items) { row.now = totals(row, nodes); row.nodes = nodes; }
    [body, shown] = sortable($("services"), "Service ports", SERVICE_COLUMNS, items, by_service, draw_services);
    drawn = 0;
    draw_more(FIRST);
    $("found").textContent = (items.length === rows.length ? "" : exact(items.length) + " of ")
      + several(rows.length, "service port")
      + (nodes.length < live.length ? ", counted on " + nodes.map((node) => node.name).join(", ") : "");
  }
  function draw_more(number) {
    const next = shown.slice(drawn, drawn + number);
    body.append(...next.map((row, at) => service_row(row, drawn + at)));
    drawn += next.length;
    $("more").textContent = drawn < shown.length ? exact(shown.length - drawn) + " more below" : "";
  }
  function service_row(row, place) {
    const verdict = verdict_of(row, row.nodes), { sum, counted, how } = row.now;
    const whole = how & WHOLE, packets = sum[1] + (whole ? sum[3] : 0), bytes = sum[2] + (whole ? sum[4] : 0);
    const pips = Array.from({ length: Math.min(row.serving, 8) }, () => h("i", { class: "pip" }))
      .concat(Array.from({ length: Math.min(row.out, 4) }, () => h("i", { class: "pip out" })));
    const addresses = row.ways.slice(0, 2).map((way) => h("div", { class: "mono nowrap" }, way_text(way)));
    return h("tr", { class: "opens", "data-key": key_of(row), on: { click: (event) => {
      if (!event.target.closest("a") && !String(getSelection())) open_service(row);
    } } },
    h("td", {}, h("a", { href: "#" + encodeURI(key_of(row)), tabindex: place ? "-1" : "0" },
      row.namespace ? h("span", { class: "space" }, row.namespace + "/") : null, row.rest)),
    h("td", { class: "small nowrap" }, row.type || "?", " ", h("span", { class: "muted" }, row.protocol)),
    h("td", {}, addresses, row.ways.length > 2 ? h("div", { class: "muted small" }, row.ways.length - 2 + " more") : null),
    h("td", { class: "number" }, h("span", { class: "pips", "aria-hidden": "true" }, pips),
      String(row.serving) + (row.out ? " of " + (row.serving + row.out) : "")),
    h("td", { class: "number", title: exact(sum[0]) }, counted ? amount(sum[0]) : "–"),
    h("td", { class: "number", title: exact(packets) + (whole ? "" : ", first ones only") }, counted ? amount(packets) : "–"),
    h("td", { class: "number", title: exact(bytes) + (whole ? "" : ", of first packets only") }, counted ? size(bytes) : "–"),
    h("td", { class: "number", title: typeof verdict === "string" ? WHY[verdict] : "" },
      typeof verdict === "number" ? (verdict < SMALL_P ? badge("bad", p_text(verdict)) : p_text(verdict))
        : h("span", { class: "muted small" }, BRIEF[verdict])),
    h("td", { class: "small" }, row.trouble.length
      ? [badge("warn", several(row.trouble.length, "finding")), list(row.trouble.slice(0, 2), "warn")]
      : badge("good", "well")));
  }

  // --- one Service

  let open_row = null, before_open = null;
  function open_service(row, on) {
    const sheet = $("service");
    if (!sheet.open) before_open = document.activeElement;
    open_row = row;
    const nodes = on ? [on] : live, place = shown.indexOf(row);
    const here = nodes.filter((node) => node.form[row.at] >= 0);
    const number = most(here.map((node) => node.form[row.at])), form = row.forms[number === undefined ? -1 : number];
    const as = here.filter((node) => node.form[row.at] === number).map((node) => node.name);
    const step = (by) => h("button", { type: "button", disabled: !shown[place + by], title: by < 0 ? "Previous (k)" : "Next (j)",
      "data-step": by, on: { click: () => go(by) } }, by < 0 ? "\u2191" : "\u2193");
    const picker = h("select", { id: "seen-on", on: { change: (event) => {
      open_service(row, live.find((node) => node.name === event.target.value));
      $("seen-on").focus();
    } } }, h("option", { value: "" }, "all nodes"), live.filter((node) => node.form[row.at] >= 0).map((node) =>
      h("option", { value: node.name, selected: node === on }, node.name)));
    sheet.replaceChildren(
      h("div", { class: "sheet-head" },
        h("h2", { id: "service-title", tabindex: "-1", autofocus: true }, row.namespace ? h("span", { class: "space" }, row.namespace + "/") : null, row.rest,
          " ", badge("", row.protocol), " ", row.type ? badge("", row.type) : null),
        h("label", {}, h("span", { class: "muted small" }, "seen on "), picker),
        step(-1), step(1),
        h("button", { type: "button", id: "close", title: "Close (Esc)", on: { click: () => sheet.close() } }, "Close")),
      h("div", { class: "sheet" },
        row.trouble.length ? h("div", { class: "banner warn" }, list(row.trouble, "warn")) : null,
        facts(row, form),
        h("section", {}, h("h3", {}, "The way of a connection"),
          form && form.groups.length ? [h("div", { class: "drawing" }, drawing(row, form, here.filter((node) => as.includes(node.name)))),
            h("p", { class: "muted small" }, "As in the kernel of " + names(as)
              + (as.length < here.length ? "; other nodes have it otherwise: choose one above" : "")
              + ". Shares are exact: what rules give, not what was counted.")]
            : h("p", { class: "banner bad" }, "Nothing of it is in the kernel.")),
        shares_of(row, nodes, form), counters_of(row, nodes)));
    if (!sheet.open) sheet.showModal();
    sheet.scrollTop = 0;
    const hash = "#" + encodeURI(key_of(row));
    if (location.hash !== hash) history.replaceState(null, "", hash);
  }
  const names = (list_of) => list_of.length > 6 ? list_of.slice(0, 6).join(", ") + " and " + (list_of.length - 6) + " more"
    : list_of.join(", ");
  function go(by) {
    const next = shown[shown.indexOf(open_row) + by];
    if (!next) return;
    open_service(next, live.find((node) => node.name === $("seen-on").value && node.form[next.at] >= 0));
    $("service-title").focus();
  }
  function facts(row, form) {
    const groups = form ? form.groups : [], said = new Set(groups.map((group) => group.source));
    for (const group of groups) {
      if (group.affinity) said.add("session affinity " + exact(group.affinity) + " s");
      if (group.scheduler) said.add("scheduler " + group.scheduler);
      for (const range of group.ranges) said.add("let in: " + range);
    }
    return h("div", { class: "facts" }, [...said].map((text) => badge("", text)));
  }

  // Columns: addresses, then chains, maps or virtual servers as deep as they lie, then endpoints.
  function drawing(row, form, nodes) {
    const { got } = shared(row, nodes), ways = [], stages = new Map(), edges = [], ends = new Map();
    form.groups.forEach((group, number) => {
      const name = (stage) => number + " " + stage;
      const stage = (text) => {
        if (!stages.has(name(text))) stages.set(name(text), { text, depth: 0, group, chooses: group.chooses[text] });
        return name(text);
      };
      for (const way of group.ways) ways.push({ way, to: stage(way[3]) });
      for (const [from, to] of group.steps) edges.push({ from: stage(from), to: stage(to) });
      for (const [text, local] of Object.entries(group.chooses)) {
        for (const [end, share, chain] of local ? group.local : group.cluster) {
          const key = end + " " + chain;
          if (!ends.has(key)) ends.set(key, { end, chain, shares: [] });
          ends.get(key).shares.push({ share, from: stage(text), local });
        }
      }
    });
    for (let turn = 0; turn < stages.size; turn += 1) {
      for (const { from, to } of edges) stages.get(to).depth = Math.max(stages.get(to).depth, Math.min(stages.get(from).depth + 1, 6));
    }
    const served = [...ends.values()], left = served.slice(MOST_DRAWN);
    const absent = form.absent.filter((each) => each[1]).slice(0, 12);
    const drawn_ends = served.slice(0, MOST_DRAWN);
    const depth = Math.max(0, ...[...stages.values()].map((each) => each.depth)) + 1;
    const columns = Array.from({ length: depth }, (_none, at) => [...stages].filter((each) => each[1].depth === at));
    const rows_needed = Math.max(ways.length, drawn_ends.length + absent.length + (left.length ? 1 : 0), ...columns.map((each) => each.length));
    const WAY = 220, STAGE = 220, END = 290, GAP = 84, LINE = 54, TOP = 34, BOX = 40;
    const width = WAY + depth * (STAGE + GAP) + GAP + 30 + END + 4, height = TOP + rows_needed * LINE;
    const y = (at, of) => TOP + (rows_needed - of) * LINE / 2 + at * LINE + BOX / 2 + 3;
    const first = y(0, rows_needed), last = y(rows_needed - 1, rows_needed);
    // Each stage beside what leads to it, so that a way which passes a column by does not cross its boxes.
    const heights = new Map(), leads = (key) => [...ways.map((each, at) => each.to === key ? y(at, ways.length) : null),
      ...edges.map((each) => each.to === key ? heights.get(each.from) : null)].filter((each) => each !== null && each !== undefined);
    for (const column of columns) {
      const wish = column.map(([key]) => {
        const found = leads(key);
        return [key, found.length ? found.reduce((sum, each) => sum + each, 0) / found.length : first];
      }).sort((one, other) => one[1] - other[1]);
      wish.forEach(([key, middle], at) => {
        const above = at ? heights.get(wish[at - 1][0]) + LINE : first;
        heights.set(key, Math.max(above, Math.min(middle, last - (wish.length - 1 - at) * LINE)));
      });
    }
    const svg = s("svg", { viewBox: "0 0 " + width + " " + height, role: "img", "aria-labelledby": "drawn-title" },
      s("title", { id: "drawn-title" }, "From " + (ways.length === 1 ? "1 address" : ways.length + " addresses") + " to " + several(served.length, "endpoint")));
    svg.style.maxWidth = width * 1.15 + "px";
    const say = (x, at, text, kind, room) => {
      const short_text = room && text.length > room ? text.slice(0, room - 1) + "\u2026" : text;
      return s("text", { x, y: at, class: kind || "" }, s("title", {}, text), short_text);
    };
    const under = s("g"), over = s("g");
    const edge = (x1, y1, x2, y2, thick) => under.append(s("path", { class: "edge", "stroke-width": thick,
      d: "M" + x1 + " " + y1 + "C" + (x1 + x2) / 2 + " " + y1 + " " + (x1 + x2) / 2 + " " + y2 + " " + x2 + " " + y2 }));
    over.append(say(2, 16, "address", "column"), say(width - END, 16, "endpoint, share of new connections", "column"));
    const place = new Map();
    columns.forEach((column, at) => {
      const x = WAY + GAP + at * (STAGE + GAP);
      over.append(say(x, 16, at ? "" : title_of(form.groups[0].source), "column"));
      column.forEach(([key, stage]) => {
        const middle = heights.get(key), refuses = stage.text === "REJECT" || stage.text === "DROP";
        place.set(key, { x, middle });
        over.append(s("rect", { class: "box" + (refuses ? " refuses" : ""), x, y: middle - BOX / 2, width: STAGE, height: BOX, rx: 8 }),
          say(x + 10, middle - 2, stage.text, "", 28),
          say(x + 10, middle + 13, what_of(stage, form), "quiet", 40));
      });
    });
    ways.forEach(({ way, to }, at) => {
      const middle = y(at, ways.length), end = place.get(to);
      over.append(s("rect", { class: "box way", x: 1, y: middle - BOX / 2, width: WAY - 1, height: BOX, rx: 20 }),
        say(16, middle - 2, way_text(way), "", 27), say(16, middle + 13, way[0] ? way[2] : "node port, any address", "quiet"));
      edge(WAY, middle, end.x, end.middle, 2);
    });
    for (const { from, to } of edges) {
      edge(place.get(from).x + STAGE, place.get(from).middle, place.get(to).x, place.get(to).middle, 2);
    }
    const all = got.reduce((sum, each) => sum + each, 0), count = drawn_ends.length + absent.length + (left.length ? 1 : 0);
    drawn_ends.forEach(({ end, chain, shares }, at) => {
      const middle = y(at, count), x = width - END - 2, share = Math.max(...shares.map((each) => fraction(each.share)));
      for (const each of shares) {
        const from = place.get(each.from);
        edge(from.x + STAGE, from.middle, x, middle, 1 + 7 * fraction(each.share));
      }
      const texts = [...new Set(shares.map((each) => each.share + (shares.length > 1 ? (each.local ? " local" : "") : "")))];
      over.append(s("rect", { class: "box end", x, y: middle - BOX / 2, width: END, height: BOX, rx: 8 }),
        say(x + 10, middle - 2, row.ends[end], "", 26),
        say(x + 10, middle + 13, chain || exact(got[end]) + " connections", "quiet", 30));
      const label = say(x + END - 10, middle - 2, texts.join(", "), "share");
      label.setAttribute("text-anchor", "end");
      over.append(label, s("rect", { class: "track", x: x + END - 90, y: middle + 6, width: 80, height: 6, rx: 3 }));
      if (all) over.append(s("rect", { class: "got", x: x + END - 90, y: middle + 6, width: 80 * got[end] / all, height: 6, rx: 3 }));
      over.append(s("line", { class: "wanted", x1: x + END - 90 + 80 * share, x2: x + END - 90 + 80 * share, y1: middle + 3, y2: middle + 15 }));
    });
    if (left.length) over.append(say(width - END + 8, y(drawn_ends.length, count) + 4, "and " + left.length + " more, see below", "quiet"));
    absent.forEach(([end, why], at) => {
      const middle = y(count - absent.length + at, count), x = width - END - 2;
      over.append(s("rect", { class: "box out", x, y: middle - BOX / 2, width: END, height: BOX, rx: 8 }),
        say(x + 10, middle - 2, row.ends[end], "", 34), say(x + 10, middle + 13, why + ": gets no new connections", "quiet"));
    });
    svg.append(under, over);
    return svg;
  }
  const title_of = (source) => source.startsWith("iptables") ? "chains of nat" : source === "ipvs" ? "virtual servers" : "chains and maps";
  function what_of(stage, form) {
    if (stage.text === "REJECT") return "the client is refused";
    if (stage.text === "DROP") return "packets are dropped";
    if (stage.chooses === undefined) {
      const part = /^KUBE-(FW|EXT|XLB)-/.exec(stage.text);
      return part ? { FW: "lets source ranges in", EXT: "from outside: policy, masquerade", XLB: "from outside: policy" }[part[1]]
        : "map addresses: kind and policy";
    }
    const count = (stage.chooses ? stage.group.local : stage.group.cluster).length;
    const how = stage.group.scheduler ? stage.group.scheduler + " among " : "chooses among ";
    return how + several(count, "endpoint") + (stage.chooses ? " of this node" : "");
  }

  function shares_of(row, nodes, form) {
    const { got, fair } = shared(row, nodes), all = got.reduce((sum, each) => sum + each, 0);
    const verdict = verdict_of(row, nodes), { how } = totals(row, nodes), whole = how & WHOLE;
    const mixed = new Set(nodes.map((node) => node.how[row.at] & WHOLE)).size > 1;
    const info = new Map();
    for (const each of form ? form.groups : []) {
      for (const [end, share, chain] of [...each.local, ...each.cluster]) info.set(end, [share, chain]);
    }
    const why = new Map();
    for (const node of nodes) for (const [end, said] of (row.forms[node.form[row.at]] || { absent: [] }).absent) if (said) why.set(end, said);
    const tested = verdict !== "one" && verdict !== "uncounted";
    const one = nodes.length === 1;
    const line = row.ends.map((text, end) => {
      const [share, chain] = info.get(end) || ["0", ""], sums = row.sums.slice(end * 5, end * 5 + 5);
      const bar = h("span", { class: "bar", "aria-hidden": "true" }, h("i", { css: { width: (all ? 100 * got[end] / all : 0) + "%" } }),
        h("b", { css: { left: (all ? 100 * fair[end] / all : 0) + "%" } }));
      return h("tr", {}, h("td", { class: "mono" }, text, chain ? h("div", { class: "muted" }, chain) : null,
        why.has(end) ? h("div", {}, badge("warn", why.get(end))) : null),
      h("td", { class: "number" }, h("b", {}, share)),
      h("td", { class: "number" }, exact(got[end])),
      h("td", { class: "number" }, all ? fair[end].toFixed(1) : "–"),
      h("td", { class: "number" }, all ? (100 * got[end] / all).toFixed(1) + " %" : "–"),
      h("td", {}, bar),
      one ? null : [h("td", { class: "number", title: exact(sums[1]) + " in, " + exact(sums[3]) + " out" }, amount(sums[1]) + (whole ? " / " + amount(sums[3]) : "")),
        h("td", { class: "number", title: exact(sums[2]) + " in, " + exact(sums[4]) + " out" }, size(sums[2]) + (whole ? " / " + size(sums[4]) : ""))]);
    });
    const said = typeof verdict === "number"
      ? "p = " + p_text(verdict) + " (chi-square): " + (verdict < SMALL_P
        ? "shares are not what chance gives. Or counters are older than the endpoints: what serves only since later has had less."
        : "what endpoints got is what chance gives with these shares.")
      : WHY[verdict];
    const notes = [];
    const open = nodes.filter((node) => node.how[row.at] & BY_CONNTRACK).map((node) => node.name);
    if (open.length) {
      notes.push((open.length === nodes.length ? "" : "On " + names(open) + ": ") + "nftables does not count by endpoint, so connections"
        + " of endpoints are those that conntrack has at the moment.");
    }
    const direction = whole ? " in / out" : "";
    const heads = ["Endpoint", "Share", open.length && open.length === nodes.length ? "Connections now" : "Connections", "Expected", "Got", ""]
      .concat(one ? [] : ["Packets" + direction, "Bytes" + direction]);
    notes.push(mixed ? "Some nodes count all packets, others (iptables, nftables) only the first one of each connection: sums mix both."
      : whole ? "Packets and bytes are all of a connection, both ways."
        : "Packets and bytes are only those that begin a connection: chains of nat see no others.");
    notes.push("Counted since the kernel has these rules.");
    return h("section", {}, h("h3", {}, "Shares of endpoints" + (one ? " on " + nodes[0].name : "")),
      h("p", { id: "verdict", class: "verdict " + (typeof verdict !== "number" ? "" : verdict < SMALL_P ? "bad" : "good") },
        tested || verdict === "uncounted" ? said : WHY.one),
      h("p", { class: "muted small" }, notes.join(" ")),
      h("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "Shares of endpoints" }, h("table", { id: "ends" },
        h("thead", {}, h("tr", {}, heads.map((text, at) => h("th", { scope: "col", class: "plain" + (at && at !== 5 ? " number" : "") }, text)))),
        h("tbody", {}, line))));
  }
  function counters_of(row, nodes) {
    const line = (name, { sum, counted, how }, verdict, mixed) => h("tr", {}, h("td", {}, name),
      h("td", { class: "small" }, !counted ? "not counted" : mixed ? "mixed" : how & WHOLE ? "all packets" : "first packets"),
      sum.map((number, at) => h("td", { class: "number", title: at % 2 ? exact(number) : size(number) },
        !counted || (at > 2 && !(how & WHOLE)) ? "–" : exact(number))),
      h("td", { class: "number small", title: typeof verdict === "string" ? WHY[verdict] : "" },
        typeof verdict === "number" ? p_text(verdict) : BRIEF[verdict] || ""));
    const here = nodes.filter((node) => node.form[row.at] >= 0);
    const heads = ["Node", "Counted", "Connections", "Packets in", "Bytes in", "Packets out", "Bytes out", "p"];
    return h("section", {}, h("h3", {}, "What the kernels counted"),
      h("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "Counters by node" }, h("table", { id: "counters" },
        h("thead", {}, h("tr", {}, heads.map((text, at) => h("th", { scope: "col", class: "plain" + (at > 1 ? " number" : "") }, text)))),
        h("tbody", {}, here.map((node) => line(node.name, totals(row, [node]), node.verdict[row.at])),
          here.length > 1 ? line(h("b", {}, "all"), totals(row, here), row.verdict, new Set(here.map((node) => node.how[row.at] & WHOLE)).size > 1) : null))));
  }

  // --- light and dark, keys, the address of the page

  const dark = matchMedia("(prefers-color-scheme: dark)"), KEPT = "sluice-report-theme";
  function kept(value) {
    try {
      if (value === null) localStorage.removeItem(KEPT);
      else if (value) localStorage.setItem(KEPT, value);
      return localStorage.getItem(KEPT);
    } catch (_refused) { return null; }
  }
  const of_system = () => dark.matches ? "dark" : "light";
  function show_theme(theme) {
    document.documentElement.dataset.theme = theme;
    $("theme").textContent = theme === "dark" ? "Light" : "Dark";
    $("theme").setAttribute("aria-pressed", String(theme === "dark"));
  }
  function switch_theme() { // back to what the system has: it is followed again
    const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    kept(next === of_system() ? null : next);
    show_theme(next);
  }
  function from_hash() {
    let text;
    try { text = decodeURI(location.hash.slice(1)); } catch (_malformed) { return; }
    const row = rows.find((each) => key_of(each) === text) || rows.find((each) => "svc=" + each.name === text);
    if (row) open_service(row);
    else if ($("service").open) $("service").close();
  }
  const KEYS = [["/", "search"], ["\u2191 \u2193", "from Service to Service (also j, k)"], ["Enter", "open a Service"],
    ["Esc", "close it; empty the search"], ["n", "only trouble, or all"], ["t", "light or dark"], ["?", "this list"]];
  function help() {
    $("help").replaceChildren(h("h2", { id: "help-title" }, "Keys"),
      h("dl", {}, KEYS.flatMap(([keys, what]) => [h("dt", {}, h("kbd", {}, keys)), h("dd", {}, what)])),
      h("button", { type: "button", on: { click: () => $("help").close() } }, "Close"));
    $("help").showModal();
  }
  function move(by) {
    const links = [...$("services").querySelectorAll("tbody a")], at = links.indexOf(document.activeElement);
    if (at + by >= links.length && drawn < shown.length) { draw_more(FIRST); move(by); return; }
    const next = at < 0 ? links[0] : links[Math.max(0, Math.min(at + by, links.length - 1))];
    if (at === 0 && by < 0) { $("search").focus(); return; }
    if (!next) return;
    for (const link of links) link.tabIndex = link === next ? 0 : -1;
    next.focus();
  }
  function keyed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { key, target } = event, typing = target.matches("input[type=search], select"), sheet = $("service").open;
    const of_table = !sheet && !$("help").open && (target === document.body || target === $("search") || target.closest("#services, main"));
    let done = true;
    if (typing && key === "Escape" && target === $("search")) { $("search").value = ""; draw_services(); }
    else if (key === "ArrowDown" && of_table && !target.matches("select, summary")) move(1);
    else if (key === "ArrowUp" && of_table && target.closest("tbody")) move(-1);
    else if (key === "Enter" && target === $("search")) { if (shown.length) open_service(shown[0]); }
    else if (typing || $("help").open) done = false;
    else if (key === "t") switch_theme();
    else if (key === "?") help();
    else if (sheet && key === "j") go(1);
    else if (sheet && key === "k") go(-1);
    else if (sheet) done = false;
    else if (key === "/") { $("search").focus(); $("search").select(); }
    else if (key === "j") move(1);
    else if (key === "k") move(-1);
    else if (key === "n") { $("only-trouble").click(); }
    else done = false;
    if (done) event.preventDefault();
  }

  // --- begin

  function choices(select, all, texts) {
    select.append(h("option", { value: "" }, all), ...texts.map((text) => h("option", { value: text }, text)));
  }
  async function read() {
    const packed = Uint8Array.from(atob($("data").textContent.trim()), (letter) => letter.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
    return JSON.parse(await new Response(stream).text());
  }
  async function begin() {
    show_theme(kept() || of_system());
    dark.addEventListener("change", () => { if (!kept()) show_theme(of_system()); });
    $("theme").addEventListener("click", switch_theme);
    $("help-button").addEventListener("click", help);
    data = await read();
    prepare();
    choices($("of-node"), "all", live.map((node) => node.name));
    choices($("of-backend"), "all", [...new Set(live.map((node) => node.status.backend))].filter(Boolean).sort());
    choices($("of-namespace"), "all", [...new Set(rows.map((row) => row.namespace))].filter(Boolean).sort());
    glance();
    draw_nodes();
    draw_services();
    $("footer").textContent = "Counters are of the moment at which each node was asked. This page is one file: it asks nobody for anything.";
    $("search").addEventListener("input", draw_services);
    for (const id of ["of-node", "of-backend", "of-namespace", "only-trouble"]) $(id).addEventListener("change", draw_services);
    $("filters").addEventListener("submit", (event) => event.preventDefault());
    new IntersectionObserver((seen) => { if (seen.some((each) => each.isIntersecting) && drawn < shown.length) draw_more(FIRST); },
      { rootMargin: "600px" }).observe($("more"));
    addEventListener("beforeprint", () => draw_more(shown.length));
    addEventListener("hashchange", from_hash);
    document.addEventListener("keydown", keyed);
    $("service").addEventListener("close", () => {
      history.replaceState(null, "", location.pathname + location.search);
      const link = open_row && [...document.querySelectorAll("#services tbody tr")].find((row) => row.dataset.key === key_of(open_row));
      (link ? link.querySelector("a") : before_open || document.body).focus();
      open_row = null;
    });
    from_hash();
    document.documentElement.dataset.ready = "yes";
  }
  begin().catch((error) => {
    $("banners").append(h("div", { class: "banner bad" }, h("strong", {}, "This page cannot be shown"), String(error)));
    throw error;
  });
})();
