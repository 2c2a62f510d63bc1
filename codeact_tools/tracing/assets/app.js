// The page as a whole: header, answer, timeline, turns; keys, links, theme, printing.

const RUN = JSON.parse(document.getElementById("run").textContent);
const TURNS = [];
const OPEN_AT_FIRST = 20;
const MANY = 50;
const STATES = { finished: ["good", "finished"], failed: ["bad", "failed"], cancelled: ["warn", "cancelled"], paused: ["warn", "paused"], open: ["warn", "no end"] };

/** Give turns and notes their names, in the order of the page. */
function prepare() {
  let notes = 0;
  RUN.tasks.forEach((task, place) => {
    for (const item of task.items) {
      if (item.type !== "turn") {
        item.id = `note-${(notes += 1)}`;
        continue;
      }
      TURNS.push(item);
      item.id = `turn-${TURNS.length}`;
      item.label = RUN.tasks.length > 1 ? `${place + 1}.${item.number}` : String(item.number);
      item.bad = item.action !== null && item.action.error !== null;
      item.gist = item.action === null ? firstLine(item.text) : gistOf(item.action.code);
    }
  });
}

function gistOf(code) {
  const lines = code.split("\n").filter((line) => line.trim() && !/^\s*(#|import |from )/.test(line));
  return firstLine(lines.join("\n") || code);
}

// ---- parts of the page -----------------------------------------------------------------------------------------------

function header(search) {
  const theme = el("button", { type: "button", id: "theme", title: "Light or dark (t)", "aria-label": "Light or dark" }, icon("theme"));
  theme.addEventListener("click", () => toggleTheme());
  const all = el("button", { type: "button", id: "unfold", title: "Open or close all turns (e)", "aria-label": "Open or close all turns" }, icon("fold"));
  all.addEventListener("click", () => toggleAll());
  const help = el("button", { type: "button", id: "help", title: "Keys (?)", "aria-label": "Keys" }, "?");
  help.addEventListener("click", () => keysDialog().showModal());
  return el("header", { class: "top" }, el("a", { class: "brand", href: "#top", title: "To the top" }, el("i", { class: "mark" }), "trace"), search.view, el("div", { class: "buttons" }, all, theme, help));
}

function intro() {
  const [kind, state] = STATES[RUN.state];
  const calls = TURNS.flatMap((turn) => turn.action?.calls ?? []);
  const failed = calls.filter((call) => call.error !== null).length;
  const problems = TURNS.filter((turn) => turn.bad).length;
  const asked = calls.filter((call) => call.asks.length > 0).length;
  const usage = RUN.usage;
  const fact = (name, value, note, title) => el("div", { class: "fact", title }, el("dt", null, name), el("dd", null, value, note ? [" ", el("small", null, note)] : null));
  const task = longText(RUN.tasks[0].task, "task", 1200, 12);
  return el(
    "section",
    { class: "intro", id: "top" },
    el("h1", { class: "outcome" }, el("span", { class: `chip big ${kind}` }, state), el("span", { class: "offscreen" }, `: ${firstLine(RUN.tasks[0].task)}`)),
    task,
    el("p", { class: "dim meta" }, [RUN.model, RUN.sandbox, `${RUN.dialect} dialect`].map((text) => el("span", null, text)), el("time", { datetime: RUN.started }, RUN.started.replace("T", " ").replace("+00:00", " UTC")), el("span", { class: "run" }, "run ", el("code", null, RUN.run), copyButton(() => RUN.run, "run id"))),
    el(
      "dl",
      { class: "facts" },
      fact("Duration", duration(RUN.seconds), RUN.breaks.length ? `and ${count(RUN.breaks.length, "break")}` : null),
      fact("Turns", String(TURNS.length), problems ? count(problems, "problem") : null),
      fact("Tool calls", String(calls.length), failed ? `${failed} failed` : null),
      fact("Tokens read", grouped.format(usage.prompt), usage.cached ? `${Math.round((usage.cached / Math.max(usage.prompt, 1)) * 100)} % cached` : null),
      fact("Tokens written", grouped.format(usage.completion), null),
      usage.cost === null ? null : fact("Cost", money(usage.cost), null),
      asked ? fact("Approvals", String(asked), null) : null,
    ),
    shares(),
    problems ? el("p", null, problemButton(problems)) : null,
  );
}

/** Where the time went. */
function shares() {
  const sums = totals(RUN, TURNS);
  const strip = el("div", { class: "shares", role: "img", "aria-label": Object.entries(KINDS).map(([kind, name]) => `${name} ${duration(sums[kind])}`).join(", ") });
  for (const [kind, name] of Object.entries(KINDS)) {
    if (sums[kind] <= 0) continue;
    const part = el("span", { class: kind, title: `${name}: ${duration(sums[kind])}` });
    part.style.flexGrow = String(sums[kind] / Math.max(RUN.seconds, 1e-6));
    strip.append(part);
  }
  return strip;
}

function problemButton(problems) {
  const button = el("button", { type: "button", class: "problems", title: "Go to the next problem (n)" }, icon("next"), count(problems, "turn"), " with a problem");
  button.addEventListener("click", () => step(1, (turn) => turn.bad));
  return button;
}

function answer() {
  const parts = RUN.tasks.map((task, place) => {
    const many = RUN.tasks.length > 1;
    const heading = el("h2", null, task.state === "finished" ? "Answer" : { failed: "Why it failed", cancelled: "Cancelled", paused: "Waiting", open: "No end" }[task.state], many ? ` to task ${place + 1}` : "");
    const stated = many ? el("p", { class: "dim" }, firstLine(task.task, 200)) : null;
    const text = typeof task.answer === "string" ? task.answer : task.answer === null || task.answer === undefined ? null : JSON.stringify(task.answer, null, 2);
    if (task.state === "finished") {
      const body = typeof task.answer === "string" ? longText(task.answer, "prose", 20000, 200) : valueView(task.answer);
      return el("div", { class: "card answer good" }, el("div", { class: "heading" }, heading, text === null ? null : copyButton(() => text, "answer"), permalink("answer", "the answer")), stated, body);
    }
    const message = task.state === "open" ? "The events end before the run does: it still runs, or it broke off." : `${task.error ? `${task.error}: ` : ""}${task.message ?? ""}`;
    return el("div", { class: `card answer ${STATES[task.state][0]}` }, el("div", { class: "heading" }, heading), stated, longText(message, "prose"));
  });
  return el("section", { id: "answer" }, parts);
}

function setting() {
  const rows = RUN.choices.map((choice) => el("li", null, el("b", null, choice.name), ` ${choice.reason}`, choice.warnings.map((each) => el("div", { class: "note warn" }, each))));
  return el(
    "section",
    { class: "setting" },
    fold(count(RUN.tools.length, "tool"), () => el("p", { class: "toolnames" }, RUN.tools.map((name) => el("code", null, name)))),
    rows.length ? fold("Why this model and this sandbox", () => el("ul", null, rows)) : null,
    RUN.system ? Object.assign(fold("System prompt", () => withCopy(longText(RUN.system, "plain"), () => RUN.system, "system prompt")), { id: "system" }) : null,
  );
}

function turns(tools) {
  const section = el("section", { id: "turns", "aria-label": "Turns" });
  RUN.tasks.forEach((task, place) => {
    if (RUN.tasks.length > 1) add(section, el("h2", { id: `task-${place + 1}` }, `Task ${place + 1} `, el("span", { class: "dim" }, firstLine(task.task, 160))));
    for (const item of task.items) add(section, item.type === "turn" ? turnView(item, tools) : noteView(item, RUN));
  });
  return section;
}

// ---- moving about ----------------------------------------------------------------------------------------------------

/** Open what holds the element of that name, and go there. */
function reveal(id) {
  const call = /^call-(\d+)$/.exec(id);
  const turn = call ? TURNS.find((each) => each.action?.calls.some((one) => one.id === Number(call[1]))) : null;
  if (turn) {
    openFold(document.getElementById(turn.id));
    if (document.getElementById(id) === null) document.querySelector(`#${turn.id} [data-rest=calls]`)?.click();
  }
  const element = document.getElementById(id);
  if (element === null) return;
  if (element instanceof HTMLDetailsElement) openFold(element);
  element.scrollIntoView({ block: "start" });
  element.classList.add("flash");
  setTimeout(() => element.classList.remove("flash"), 1600);
  const target = element instanceof HTMLDetailsElement ? element.querySelector("summary") : element;
  if (!target.matches("summary, a, button")) target.tabIndex = -1;
  target.focus({ preventScroll: true });
}

function openFold(details) {
  details.render?.();
  details.open = true;
}

function show(id) {
  if (location.hash === `#${id}`) reveal(id);
  else location.hash = id;
}

function follow() {
  const id = decodeURIComponent(location.hash.slice(1));
  if (id) reveal(id);
}

/** Go to the next or last turn that is wanted. */
function step(by, wanted = () => true) {
  const line = window.innerHeight * 0.3;
  const places = TURNS.map((turn) => document.getElementById(turn.id).getBoundingClientRect().top);
  const here = document.activeElement?.closest?.(".turn");
  let at = here ? TURNS.findIndex((turn) => turn.id === here.id) : places.findLastIndex((top) => top < line);
  for (at += by; at >= 0 && at < TURNS.length; at += by) if (wanted(TURNS[at])) return show(TURNS[at].id);
  return announce(by > 0 ? "That was the last one" : "That was the first one");
}

function toggleAll() {
  const folds = [...document.querySelectorAll(".turn")];
  const open = folds.some((each) => !each.open);
  for (const each of folds) {
    if (open) openFold(each);
    else each.open = false;
  }
  announce(open ? "All turns are open" : "All turns are closed");
}

function toggleTheme() {
  const dark = getComputedStyle(document.documentElement).getPropertyValue("--dark").trim() === "1";
  applyTheme(dark ? "light" : "dark");
  remember("codeact-trace-theme", dark ? "light" : "dark");
}

function applyTheme(theme) {
  document.documentElement.dataset.theme = theme;
}

/** Keep a choice, where the browser keeps anything for pages like this. */
function remember(name, value) {
  try {
    if (value === undefined) return localStorage.getItem(name);
    localStorage.setItem(name, value);
  } catch (refused) {
    if (!(refused instanceof DOMException)) throw refused;
  }
  return null;
}

const KEYS = [
  ["/", "Search everything"],
  ["j  k", "Next turn, turn before"],
  ["n  p", "Next problem, problem before"],
  ["o", "Open or close the turn"],
  ["e", "Open or close all turns"],
  ["t", "Light or dark"],
  ["?", "These keys"],
];

function keysDialog() {
  document.getElementById("keys")?.remove();
  const close = el("button", { type: "button" }, "Close");
  const dialog = el("dialog", { id: "keys", "aria-label": "Keys" }, el("h2", null, "Keys"), el("dl", null, KEYS.map(([keys, what]) => [el("dt", null, keys.split("  ").map((key) => el("kbd", null, key))), el("dd", null, what)])), close);
  close.addEventListener("click", () => dialog.close());
  document.body.append(dialog);
  return dialog;
}

const ACTIONS = {
  "/": (search) => search.input.focus(),
  j: () => step(1),
  k: () => step(-1),
  n: () => step(1, (turn) => turn.bad),
  p: () => step(-1, (turn) => turn.bad),
  e: () => toggleAll(),
  t: () => toggleTheme(),
  "?": () => keysDialog().showModal(),
  o: () => {
    const turn = document.activeElement?.closest?.(".turn");
    if (turn) turn.open ? (turn.open = false) : openFold(turn);
  },
};

function start() {
  prepare();
  const tools = new Set(RUN.tools.flatMap((name) => [name, name.split(".").at(-1)]));
  const search = new Search(RUN, TURNS, show);
  const theme = remember("codeact-trace-theme");
  if (theme === "light" || theme === "dark") applyTheme(theme);
  add(
    document.getElementById("page"),
    el("a", { class: "skip", href: "#turns" }, "Skip to the turns"),
    header(search),
    el("main", { id: "main", class: TURNS.length > MANY && "many" }, intro(), answer(), timeline(RUN, TURNS), setting(), turns(tools)),
    el("div", { id: "status", role: "status" }),
  );
  const open = TURNS.length <= OPEN_AT_FIRST ? TURNS : [TURNS[0], TURNS.at(-1)];
  for (const turn of open) openFold(document.getElementById(turn.id));
  document.addEventListener("keydown", (event) => {
    const busy = event.target.matches("input, textarea, select") || document.querySelector("dialog[open]") !== null;
    if (busy || event.ctrlKey || event.metaKey || event.altKey) return;
    const action = ACTIONS[event.key];
    if (action !== undefined) {
      event.preventDefault();
      action(search);
    }
  });
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href^='#']");
    if (link !== null && link !== undefined && link.hash.length > 1 && !event.defaultPrevented && !event.ctrlKey && !event.metaKey) {
      event.preventDefault();
      show(link.hash.slice(1));
    }
  });
  window.addEventListener("hashchange", follow);
  window.addEventListener("beforeprint", () => document.querySelectorAll(".turn, .call").forEach(openFold));
  follow();
}

start();
