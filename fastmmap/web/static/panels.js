/* What is known of a cache, put into its places. */

const LATELY = 60; /* seconds that the words are about */

function lately(rows) {
  const end = rows.length ? rows.at(-1)[AT.moment] : 0;
  const some = rows.filter((row) => row[AT.moment] > end - LATELY);
  const mean = (at) => some.reduce((sum, row) => sum + row[at], 0) / (some.length || 1);
  return { gets: mean(AT.gets), hits: mean(AT.hits), sets: mean(AT.sets), evictions: mean(AT.evictions) };
}

/* -------------------------------------------------------------- the verdict */

function verdictOf(stats, now) {
  if (stats.pages_repaired) return ["bad", "Damage was repaired"];
  if (stats.advice.length) return ["warn", "Could be better"];
  if (now.gets >= 1 && now.hits / now.gets < 0.5) return ["warn", "Many misses"];
  if (now.gets + now.sets < 0.1) return ["good", "Idle"];
  return ["good", "Healthy"];
}

function sentenceOf(stats, now) {
  const parts = [];
  if (now.gets >= 0.1) parts.push(`${percent(now.hits, now.gets)} of reads hit in the last minute`);
  else if (stats.reads) parts.push(`${percent(stats.hits, stats.reads)} of all reads hit`);
  parts.push(`${percent(stats.bytes_live, stats.bytes_total)} of the file is in use`);
  if (stats.short_of.length) parts.push(`values were evicted for lack of ${stats.short_of.join(" and ")}`);
  else parts.push("nothing was evicted");
  if (stats.pages_repaired) parts.push(`${count(stats.pages_repaired)} damaged pages were repaired`);
  return `${parts.join(", ")}.`;
}

function showVerdict(stats, rows) {
  const now = lately(rows);
  const [kind, word] = verdictOf(stats, now);
  $("word").className = kind;
  say($("word"), `${word}.`);
  say($("sentence"), sentenceOf(stats, now));
  $("advice").replaceChildren(...stats.advice.map((text) => make("li", {}, text)));
}

/* ---------------------------------------------------------------- the tiles */

const TILES = [
  ["hits", "Hit ratio", (s, r) => percent(r[AT.hits], r[AT.gets]), (s) => `${percent(s.hits, s.reads)} ever`, (r) => ratioOf(r) || 0, 100],
  ["gets", "Gets a second", (s, r) => rate(r[AT.gets]), (s) => `${count(s.reads)} in all`, (r) => r[AT.gets]],
  ["sets", "Sets a second", (s, r) => rate(r[AT.sets]), (s) => `${count(s.stores)} in all`, (r) => r[AT.sets]],
  ["evictions", "Evictions a second", (s, r) => rate(r[AT.evictions]), (s) => `${count(s.evictions)} in all`, (r) => r[AT.evictions]],
  ["fill", "Fill", (s) => percent(s.bytes_live, s.bytes_total), (s) => `${bytes(s.bytes_live)} of ${bytes(s.bytes_total)}`, (r) => r[AT.live]],
  ["entries", "Values", (s) => count(s.entries), (s) => `${count(s.expirations)} expired so far`, (r) => r[AT.entries]],
];
const SPARK = 120; /* rows */

function makeTiles() {
  for (const [name, title] of TILES) {
    const svg = draw("svg", { "aria-hidden": "true" });
    $("tiles").append(make("div", { class: "tile", id: `tile-${name}` }, make("h2", {}, title), make("output", {}), make("small", {}), svg));
  }
}

function showTiles(stats, rows) {
  const last = rows.at(-1) || [0, 0, 0, 0, 0, 0, stats.bytes_live, stats.entries];
  for (const [name, , value, more, of, most] of TILES) {
    const tile = $(`tile-${name}`);
    say(tile.querySelector("output"), value(stats, last));
    say(tile.querySelector("small"), more(stats));
    const top = name === "fill" ? stats.bytes_total : most;
    sparkline(tile.querySelector("svg"), rows.slice(-SPARK).map(of), name, top);
  }
}

/* ----------------------------------------------------------------- the bars */

function showBars(place, rows) {
  const most = Math.max(...rows.map((row) => row.length), 1e-9);
  place.replaceChildren(...rows.flatMap(({ name, length, value, title }) => {
    const svg = draw("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" });
    svg.append(draw("rect", { class: "track", width: 100, height: 10 }), draw("rect", { width: (100 * length) / most, height: 10 }));
    return [make("span", { class: "name", title: title || name }, name), svg, make("span", { class: "value" }, value)];
  }));
  if (!rows.length) place.append(make("span", { class: "name" }, "It is empty."));
}

function showContents(found) {
  const sizes = found.sizes || [];
  showBars($("sizes"), sizes.map((group) => ({
    name: `${bytes(group.below / 2)} to ${bytes(group.below)}`,
    length: group.entries,
    value: `${count(group.entries)} · ${bytes(group.bytes)}`,
  })));
  showBars($("prefixes"), (found.prefixes || []).map((group) => ({
    name: group.prefix || "(none)",
    length: group.bytes,
    value: `${bytes(group.bytes)} · ${count(group.entries)}`,
  })));
  const seen = found.done ? `${count(found.seen)} values` : `of the first ${count(found.seen)} values`;
  for (const element of document.querySelectorAll(".seen")) say(element, seen);
  say($("tagged"), `${count(found.tagged || 0)} values have tags, ${count(found.dirty || 0)} are still to be written back.`);
}

/* ----------------------------------------------------------------- the keys */

function keyCell(record, open) {
  const marks = record.flags.map((flag) => make("span", { class: "mark" }, flag));
  if (record.key === null) return make("td", {}, make("span", { class: "key" }, record.shown), ...marks);
  return make("td", {}, make("button", { class: "key", type: "button", title: record.shown, onclick: () => open(record) }, record.shown || "(empty)"), ...marks);
}

function showKeys(list, open) {
  const now = Date.now() / 1000;
  const cell = (text) => make("td", { class: "n" }, text);
  $("keys").tBodies[0].replaceChildren(...list.map((record) => make("tr", {},
    keyCell(record, open),
    cell(bytes(record.size)),
    cell(`${span(now - record.stored_on)} ago`),
    cell(`${span(now - record.last_access)} ago`),
    cell(record.expire_on === null ? "never" : span(record.expire_on - now)),
    cell(count(record.credit)),
  )));
}

/* -------------------------------------------------------------- the clients */

const clientsBefore = new Map();

function clientRates(client, moment) {
  const name = `${client.pid} ${client.since}`;
  const before = clientsBefore.get(name);
  clientsBefore.set(name, { moment, reads: client.reads, stores: client.stores });
  if (!before || moment <= before.moment) return [0, 0];
  const seconds = moment - before.moment;
  return [(client.reads - before.reads) / seconds, (client.stores - before.stores) / seconds];
}

function showClients(clients, moment) {
  const rows = clients.map((client) => ({ client, rates: clientRates(client, moment) }));
  rows.sort((a, b) => b.rates[0] + b.rates[1] - a.rates[0] - a.rates[1] || a.client.pid - b.client.pid);
  const cell = (text) => make("td", { class: "n" }, text);
  $("clients").tBodies[0].replaceChildren(...rows.slice(0, 100).map(({ client, rates }) => make("tr", {},
    make("td", { title: client.command }, `${client.pid} ${client.command}`),
    cell(span(moment - client.since)),
    cell(rate(rates[0])),
    cell(percent(client.hits, client.reads)),
    cell(rate(rates[1])),
    cell(count(client.waits)),
  )));
  say($("clients-count"), clients.length > 1 ? `${clients.length}` : "");
  show($("no-clients"), clients.length === 0);
  show($("clients"), clients.length > 0);
}

/* ----------------------------------------------------------------- the file */

function showFacts(facts) {
  const told = [
    ["path", facts.file],
    ["created", new Date(facts.created * 1000).toLocaleString()],
    ["size", bytes(facts.file_size)],
    ["pages", `${count(facts.pages)} of ${bytes(facts.page_size)}`],
    ["serializer", facts.serializer],
    ["compressor", facts.compressor || "none"],
    ["largest value", bytes(facts.largest_value)],
    ["format", `version ${facts.format_version}`],
  ];
  $("facts").replaceChildren(...pairs(told));
}

function pairs(told) {
  return told.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]);
}
