"use strict";
// Everything of the run is written as text: nothing here parses markup.

const SVG = "http://www.w3.org/2000/svg";

/** Make an element. `properties`: class, title, id, href, ..., or on<event> with a function. */
function el(tag, properties, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  return add(element, ...children);
}

/** Append elements and texts; null and false are left out. */
function add(element, ...children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) element.append(child);
  }
  return element;
}

const ICONS = {
  search: "M7 12A5 5 0 1 0 7 2a5 5 0 0 0 0 10Zm3.5-1.5L14 14",
  theme: "M8 2a6 6 0 1 0 0 12V2Z",
  copy: "M5.5 5.5h8v8h-8zM2.5 10.5v-8h8",
  link: "M6.5 9.5 9.5 6.5M7 4.5l1.2-1.2a3 3 0 0 1 4.4 4.4L11.5 9M9 11.5l-1.2 1.2a3 3 0 0 1-4.4-4.4L4.5 7",
  save: "M8 2v8M4.5 6.5 8 10l3.5-3.5M2.5 13.5h11",
  fold: "M5 6.5 8 3.5l3 3M5 9.5l3 3 3-3",
  next: "M4 6l4 4 4-4",
};

function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  const path = document.createElementNS(SVG, "path");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  path.setAttribute("d", ICONS[name]);
  if (name === "theme") path.setAttribute("fill", "currentColor");
  svg.append(path);
  return svg;
}

/** A button that copies what `text` returns. */
function copyButton(text, label) {
  const button = el("button", { class: "copy", type: "button", title: `Copy ${label}`, "aria-label": `Copy ${label}` });
  add(button, icon("copy"));
  button.addEventListener("click", async (event) => {
    event.preventDefault();
    event.stopPropagation();
    await copyText(text());
    button.classList.add("done");
    announce(`Copied ${label}`);
    setTimeout(() => button.classList.remove("done"), 1200);
  });
  return button;
}

async function copyText(text) {
  if (navigator.clipboard !== undefined) {
    try {
      return await navigator.clipboard.writeText(text);
    } catch (refused) {
      if (!(refused instanceof DOMException)) throw refused;
    }
  }
  const area = el("textarea", { class: "offscreen" });
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

/** Tell screen readers, and show for a moment. */
function announce(text) {
  const status = document.getElementById("status");
  status.textContent = text;
  status.classList.add("shown");
  clearTimeout(announce.timer);
  announce.timer = setTimeout(() => status.classList.remove("shown"), 1500);
}

/** Text that is cut after some lines, with a button for the rest. */
function longText(text, className, most = 6000, lines = 60) {
  const pre = el("pre", { class: className, tabindex: "0" });
  let cut = Math.min(text.length, most);
  for (let line = 0, at = -1; line < lines; line++) {
    at = text.indexOf("\n", at + 1);
    if (at < 0 || at >= cut) break;
    if (line === lines - 1) cut = at;
  }
  pre.textContent = text.slice(0, cut);
  if (cut === text.length) return pre;
  const more = el("button", { class: "more", type: "button" }, `Show all ${count(text.length, "character")}`);
  more.addEventListener("click", () => {
    pre.textContent = text;
    more.remove();
  });
  return el("div", { class: "long" }, pre, more);
}

const grouped = new Intl.NumberFormat("en");

function count(number, noun) {
  return `${grouped.format(number)} ${noun}${number === 1 ? "" : "s"}`;
}

function duration(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 0.0005) return "0 ms";
  if (seconds < 0.9995) return `${seconds < 0.00995 ? (seconds * 1000).toFixed(1) : Math.round(seconds * 1000)} ms`;
  if (seconds < 59.95) return `${seconds.toFixed(seconds < 9.995 ? 2 : 1)} s`;
  const minutes = Math.floor(seconds / 60 + 1e-9);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds % 60)} s`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${(hours / 24).toFixed(1)} days`;
}

function bytes(size) {
  if (size < 1024) return count(size, "byte");
  return size < 1048576 ? `${(size / 1024).toFixed(1)} KiB` : `${(size / 1048576).toFixed(1)} MiB`;
}

function firstLine(text, most = 120) {
  const line = (text ?? "").split("\n").find((each) => each.trim()) ?? "";
  const short = line.trim();
  return short.length > most ? `${short.slice(0, most - 1)}…` : short;
}
