/* What is looked at, and when. */

const state = { cache: "", rows: [], paused: false, contents: {}, search: 0, namespaces: [] };
const EVERY = 1000;

const map = new FileMap($("map"), $("cell"));
const ratioChart = new Chart($("ratio"), (rows) => `Hit ratio over time, now ${rows.length && ratioOf(rows.at(-1)) !== null ? ratioOf(rows.at(-1)).toFixed(0) : "no"} per cent`, [{ name: "hits", of: ratioOf, area: true }], 100);
const ratesChart = new Chart($("rates"), (rows) => (rows.length ? `Rates over time. ${instantText(rows.at(-1))}` : "Rates over time"), [
  { name: "gets", of: (row) => row[AT.gets] },
  { name: "sets", of: (row) => row[AT.sets] },
  { name: "evictions", of: (row) => row[AT.evictions] },
]);

function problem(text) {
  say($("problem"), text);
  show($("problem"), text !== "");
}

/* --------------------------------------------------------------- the caches */

async function lookForCaches() {
  const { caches } = await ask("caches");
  const options = caches.map(({ id, path, problem: why }) => make("option", { value: id, disabled: why !== null }, why === null ? path : `${path}: ${why}`));
  const texts = (list) => [...list].map((option) => option.textContent).join("\n");
  if (texts($("caches").options) !== texts(options)) {
    $("caches").replaceChildren(...options);
    $("caches").value = state.cache;
  }
  const usable = caches.filter((cache) => cache.problem === null);
  const wanted = location.hash.slice(1);
  if (!state.cache && usable.length) choose((usable.find((cache) => cache.id === wanted) || usable[0]).id);
  if (!usable.length) problem(caches.length ? "No cache can be opened." : "No cache is open on this host. This page shows one as soon as it appears.");
}

function choose(id) {
  Object.assign(state, { cache: id, rows: [], contents: {}, namespaces: [] });
  $("caches").value = id;
  history.replaceState(null, "", `#${id}`);
  document.title = `${cacheName().split("/").at(-1)} – fastmmap`;
  map.forget();
  showContents({ seen: 0 });
  showKeys([], openRecord);
  showNamespaces();
  lookAgain();
  lookAtFacts();
}

async function lookAtFacts() {
  const cache = state.cache;
  const facts = await ask("facts", { cache }).catch(() => null);
  if (facts && cache === state.cache) showFacts(facts);
}

/* ----------------------------------------------------------------- the rest */

async function lookAtLive() {
  const cache = state.cache;
  const since = state.rows.length ? state.rows.at(-1)[AT.moment] : 0;
  const live = await ask("live", { cache, since });
  if (cache !== state.cache) return;
  state.rows = [...state.rows, ...live.rows].slice(-SPANS.at(-1));
  showVerdict(live.stats, state.rows);
  showTiles(live.stats, state.rows);
  ratioChart.update(state.rows);
  ratesChart.update(state.rows);
  map.update(live.map, live.clients);
  showClients(live.clients, live.moment);
}

async function lookAtContents() {
  const cache = state.cache;
  const found = await ask("contents", { cache });
  if (cache !== state.cache) return;
  state.contents = found;
  showContents(found);
  if (!searching()) lookAtKeys();
  await countNamespaces(cache);
}

/* ----------------------------------------------------------------- the keys */

function order() {
  return document.querySelector("input[name=order]:checked").value;
}

function searching() {
  return $("text").value !== "" || $("namespace").value !== "";
}

function sayKeys(list, text) {
  say($("keys-seen"), text);
  show($("no-keys"), list.length === 0);
  say($("no-keys"), { credit: "No value was read since it was stored.", expiry: "No value expires." }[order()] || "None.");
}

/* The first keys, or those that are searched for: walked over slice by slice. */
async function lookAtKeys() {
  const turn = (state.search += 1);
  if (!searching()) {
    const list = state.contents.first?.[order()] || [];
    showKeys(list, openRecord);
    sayKeys(list, "");
    return;
  }
  const what = { cache: state.cache, text: $("text").value, sort: order(), namespace: namesOf($("namespace").value) };
  for (let found = { done: false }; !found.done && turn === state.search; await pause(250)) {
    found = await ask("keys", what).catch((error) => ({ done: true, records: [], matches: 0, seen: 0, why: error.message }));
    if (turn !== state.search) return;
    showKeys(found.records || [], openRecord);
    sayKeys(found.records || [], found.why || `${count(found.matches || 0)} found${found.done ? "" : `, ${count(found.seen)} looked at`}`);
  }
}

function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/* ----------------------------------------------------------- the namespaces */

function addNamespace(event) {
  event.preventDefault();
  const field = event.target.querySelector("input");
  const names = namesOf(field.value);
  if (names.length) state.namespaces.push({ names, found: { seen: 0 } });
  field.value = "";
  showNamespaces();
  countNamespaces(state.cache);
}

async function countNamespaces(cache) {
  for (const one of state.namespaces) {
    one.found = await ask("contents", { cache, namespace: one.names });
  }
  if (cache === state.cache) showNamespaces();
}

function showNamespaces() {
  const row = ({ names, found }) => {
    const size = (found.sizes || []).reduce((sum, group) => sum + group.bytes, 0);
    const text = names.length > 1 ? JSON.stringify(names) : names[0];
    const keys = make("button", { type: "button", onclick: () => { $("namespace").value = text; lookAtKeys(); $("find").scrollIntoView(); } }, "Keys");
    const clear = make("button", { type: "button", class: "danger", onclick: () => clearNamespace(names) }, "Clear…");
    return make("tr", {},
      make("td", {}, names.join(" / ")),
      make("td", { class: "n" }, `${count(found.seen)}${found.done ? "" : "+"}`),
      make("td", { class: "n" }, bytes(size)),
      make("td", { class: "n" }, keys, ...(CAN_WRITE ? [" ", clear] : [])));
  };
  $("namespaces").tBodies[0].replaceChildren(...state.namespaces.map(row));
  $("known").replaceChildren(...state.namespaces.map(({ names }) => make("option", { value: names.length > 1 ? JSON.stringify(names) : names[0] })));
  show($("namespaces"), state.namespaces.length > 0);
}

/* ------------------------------------------------------------------ the clock */

/* Do something, then wait, for ever; not while nobody looks. */
async function repeat(look, wait) {
  for (;;) {
    if (!document.hidden && !state.paused) {
      await look().then((why) => problem(why || ""), (error) => problem(error.message));
    }
    await Promise.race([pause(wait()), state.again]);
  }
}

let wake = () => {};
function lookAgain() {
  wake();
  state.again = new Promise((resolve) => { wake = resolve; });
  lookAtKeys();
}

function start() {
  lookAgain();
  makeTiles();
  startActions();
  startTheme();
  $("caches").addEventListener("change", () => choose($("caches").value));
  $("pause").addEventListener("click", togglePause);
  $("find").addEventListener("submit", (event) => event.preventDefault());
  $("find").addEventListener("input", lookAtKeys);
  $("add-namespace").addEventListener("submit", addNamespace);
  document.addEventListener("keydown", shortcut);
  new ResizeObserver(() => { map.draw(); ratioChart.draw(); ratesChart.draw(); }).observe($("main"));
  repeat(watchCaches, () => (state.cache ? 5000 : 1000));
  repeat(async () => state.cache && lookAtLive(), () => EVERY);
  repeat(async () => state.cache && lookAtContents(), () => (state.contents.done ? 4000 : 500));
}

async function watchCaches() {
  await lookForCaches();
}

function togglePause() {
  state.paused = !state.paused;
  $("pause").setAttribute("aria-pressed", state.paused);
  say($("pause"), state.paused ? "paused" : "live");
  if (!state.paused) lookAgain();
}

/* "/" searches, "p" pauses; not where something is typed. */
function shortcut(event) {
  if (event.target.matches("input, select, textarea") || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") $("text").focus();
  else if (event.key === "p") togglePause();
  else return;
  event.preventDefault();
}

/* ------------------------------------------------------------------ the theme */

const systemIsDark = matchMedia("(prefers-color-scheme: dark)");

function startTheme() {
  applyTheme(localStorage.getItem("fastmmap-theme") || "auto");
  systemIsDark.addEventListener("change", () => applyTheme($("theme").textContent));
  $("theme").addEventListener("click", () => {
    const next = { auto: "dark", dark: "light", light: "auto" }[$("theme").textContent];
    localStorage.setItem("fastmmap-theme", next);
    applyTheme(next);
  });
}

function applyTheme(theme) {
  say($("theme"), theme);
  document.documentElement.toggleAttribute("data-dark", theme === "dark" || (theme === "auto" && systemIsDark.matches));
  map.draw();
}

start();
