/* Values, and what can be changed where the page may write. */

let openValue = null; /* { key, names, shown } of the dialog */

function confirmed(text) {
  const dialog = $("confirm");
  say($("confirm-text"), text);
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

/* Ask, do, and tell; true when it was done. */
async function change(question, name, what, done) {
  if (!(await confirmed(question))) return false;
  try {
    const told = await act(name, { cache: state.cache, ...what });
    toast(told.done ? done : "There was nothing to drop.");
    lookAgain();
    return true;
  } catch (error) {
    toast(error.message);
    return false;
  }
}

function valueFacts(entry) {
  const now = Date.now() / 1000;
  return [
    ["kind", entry.kind],
    ["size", `${bytes(entry.size)} in the file`],
    ["stored", `${span(now - entry.stored_on)} ago`],
    ["used", `${span(now - entry.last_access)} ago`],
    ["expires", entry.expire_on === null ? "never" : `in ${span(entry.expire_on - now)}`],
  ];
}

async function openRecord(record) {
  const names = namesOf($("namespace").value);
  try {
    const entry = await ask("value", { cache: state.cache, key: JSON.stringify(record.key), namespace: names });
    openValue = { key: record.key, names, shown: entry.shown };
    say($("value-key"), entry.shown);
    $("value-facts").replaceChildren(...pairs(valueFacts(entry)));
    say($("value-text"), entry.text);
    say($("value-note"), entry.whole ? "" : "Only the beginning is shown.");
    $("value").showModal();
  } catch (error) {
    toast(error.message);
  }
}

async function deleteValue() {
  const { key, names, shown } = openValue;
  const gone = await change(`Delete ${shown}?`, "delete", { key, namespace: names }, "Deleted.");
  if (gone) $("value").close();
}

function cacheName() {
  return $("caches").selectedOptions[0]?.textContent || "this cache";
}

function clearCache() {
  return change(`Drop all values of ${cacheName()}, for all its users? Values still to be written back are lost.`, "clear", {}, "The cache is empty.");
}

function purgeCache() {
  return change(`Drop all expired values of ${cacheName()}?`, "purge", {}, "Expired values were dropped.");
}

function clearNamespace(names) {
  return change(`Drop all keys of the namespace ${names.join(" / ")}, and of those inside it?`, "clear-namespace", { namespace: names }, "The namespace is empty.");
}

async function invalidateTag(event) {
  event.preventDefault();
  const field = event.target.querySelector("input");
  if (!field.value) return;
  const done = await change(`Drop all values with the tag ${field.value}?`, "invalidate-tag", { tag: field.value, namespace: [] }, "They are gone.");
  if (done) field.value = "";
}

async function findLock(event) {
  event.preventDefault();
  const name = event.target.querySelector("input").value;
  const word = (holder, what) => holder && `${what} ${holder.pid || "an unknown process"}, since ${span(Date.now() / 1000 - holder.since)}, for another ${span(holder.until - Date.now() / 1000)}`;
  try {
    const told = await ask("lock", { cache: state.cache, lock: name, namespace: namesOf($("namespace").value) });
    const parts = [word(told.lock, "locked by"), word(told.computing, "computed by")].filter(Boolean);
    say($("holder"), `${told.name}: ${parts.join("; ") || "nobody holds it"}.`);
  } catch (error) {
    say($("holder"), error.message);
  }
}

function startActions() {
  for (const element of document.querySelectorAll(".write")) show(element, CAN_WRITE);
  show($("mode"), CAN_WRITE);
  $("value-delete").addEventListener("click", deleteValue);
  $("clear").addEventListener("click", clearCache);
  $("purge").addEventListener("click", purgeCache);
  $("invalidate").addEventListener("submit", invalidateTag);
  $("lock").addEventListener("submit", findLock);
}
