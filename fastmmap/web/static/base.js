"use strict";
/* What all parts use. Nothing is ever set as HTML: keys and values are hostile. */

const TOKEN = document.querySelector("meta[name=fastmmap-token]").content;
const CAN_WRITE = TOKEN !== "";
const $ = (id) => document.getElementById(id);

/* An element with attributes and children; a text is text. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const SVG = "http://www.w3.org/2000/svg";
function draw(tag, attributes = {}, text = "") {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.textContent = text;
  return element;
}

function show(element, visible) {
  element.hidden = !visible;
}

function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/* ---------------------------------------------------------------- numbers */

const plain = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });

function count(number) {
  return number < 10000 ? plain.format(Math.round(number)) : short.format(number);
}

function rate(number) {
  return number > 0 && number < 10 ? number.toFixed(1) : count(number);
}

function bytes(number) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (number >= 1024 && unit < units.length - 1) {
    number /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || number >= 100 || Number.isInteger(number) ? 0 : 1;
  return `${number.toFixed(digits)} ${units[unit]}`;
}

function percent(part, whole) {
  if (!whole) return "–";
  const share = (100 * part) / whole;
  return `${share >= 99.95 || share < 0.05 ? share.toFixed(0) : share.toFixed(1)} %`;
}

function span(seconds) {
  if (seconds === null || seconds === undefined) return "never";
  const units = [["d", 86400], ["h", 3600], ["min", 60]];
  for (const [name, length] of units) {
    if (Math.abs(seconds) >= 2 * length) return `${Math.round(seconds / length)} ${name}`;
  }
  return `${Math.max(Math.round(seconds), 0)} s`;
}

/* --------------------------------------------------------------- requests */

async function answerOf(promise) {
  const answer = await promise;
  const told = await answer.json();
  if (!answer.ok) throw new Error(told.problem || `status ${answer.status}`);
  return told;
}

function ask(name, parameters = {}) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(parameters)) {
    for (const one of Array.isArray(value) ? value : [value]) query.append(key, one);
  }
  return answerOf(fetch(`api/${name}?${query}`, { credentials: "same-origin" }));
}

function act(name, what) {
  return answerOf(
    fetch(`api/${name}`, {
      method: "POST",
      credentials: "same-origin",
      headers: { "Content-Type": "application/json", "X-Fastmmap-Token": TOKEN },
      body: JSON.stringify(what),
    }),
  );
}

let toastTimer = 0;
function toast(text) {
  say($("toast"), text);
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => say($("toast"), ""), 4000);
}

/* "a" is one namespace, ["a", "b"] is b inside a. */
function namesOf(text) {
  if (text.startsWith("[")) {
    try {
      const names = JSON.parse(text);
      if (Array.isArray(names) && names.every((name) => typeof name === "string")) return names;
    } catch {
      // a name that begins so
    }
  }
  return text === "" ? [] : [text];
}
