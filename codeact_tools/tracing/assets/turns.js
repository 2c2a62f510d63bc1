// One turn: what the model wrote, its action with the findings, the calls, what came of it.

function permalink(id, label) {
  return el("a", { class: "permalink", href: `#${id}`, title: `Link to ${label}`, "aria-label": `Link to ${label}` }, icon("link"));
}

/** A turn as a fold whose inside is made when it is opened first. */
function turnView(turn, tools) {
  const fold = el("details", { class: `turn card ${turn.bad ? "bad" : ""}`, id: turn.id });
  const chips = [];
  if (turn.action !== null) {
    const errors = turn.action.findings.filter((each) => each.severity === "error").length;
    if (errors > 0 && !wasRun(turn.action)) chips.push(chip("bad", "refused by the check"));
    else if (turn.action.error !== null) chips.push(chip("bad", turn.action.error.name || turn.action.error.kind));
    if (turn.action.end === null) chips.push(chip("warn", "unfinished"));
    if (turn.action.calls.length > 0) chips.push(chip("tool", count(turn.action.calls.length, "call")));
    if (turn.action.artifacts.length > 0) chips.push(chip("", count(turn.action.artifacts.length, "file")));
  }
  const usage = turn.usage === null ? null : el("span", { class: "dim", title: usageTitle(turn.usage) }, `${grouped.format(turn.usage.prompt)} → ${count(turn.usage.completion, "token")}`);
  const summary = el(
    "summary",
    null,
    el("span", { class: "number" }, `Turn ${turn.label}`),
    el("span", { class: "gist" }, turn.gist),
    el("span", { class: "chips" }, chips),
    el("span", { class: "facts" }, usage, el("span", { class: "took" }, duration(turn.end - turn.start)), permalink(turn.id, `turn ${turn.label}`)),
  );
  fold.append(summary);
  fold.render = () => {
    if (fold.children.length === 1) add(fold, el("div", { class: "body" }, turnBody(turn, tools)));
  };
  fold.addEventListener("toggle", () => fold.open && fold.render());
  return fold;
}

function usageTitle(usage) {
  const cached = usage.cached ? `, ${grouped.format(usage.cached)} of them cached` : "";
  const cost = usage.cost === null ? "" : `; cost ${money(usage.cost)}`;
  return `${grouped.format(usage.prompt)} prompt tokens${cached}; ${grouped.format(usage.completion)} written${cost}`;
}

function money(cost) {
  return `$${cost < 0.01 && cost > 0 ? cost.toPrecision(2) : cost.toFixed(2)}`;
}

function chip(kind, text) {
  return el("span", { class: `chip ${kind}` }, text);
}

function turnBody(turn, tools) {
  const action = turn.action;
  const parts = [];
  if (action === null) {
    if (turn.text) parts.push(longText(turn.text, "prose", 20000, 200));
    return parts;
  }
  if (turn.thought) parts.push(longText(turn.thought, "prose"));
  parts.push(codePanel(turn, action, tools));
  if (action.calls.length > 0) parts.push(callsPanel(action, turn));
  parts.push(...outcome(action));
  if (action.artifacts.length > 0) parts.push(files(action.artifacts));
  parts.push(
    el(
      "div",
      { class: "folds" },
      fold("The model's reply as it came", () => withCopy(longText(turn.text, "plain"), () => turn.text, "reply")),
      action.read === null ? null : fold("What the model read next", () => withCopy(longText(action.read, "plain"), () => action.read, "observation")),
    ),
  );
  return parts;
}

function fold(title, inside) {
  const details = el("details", { class: "fold" }, el("summary", null, title));
  details.render = () => details.children.length === 1 && add(details, inside());
  details.addEventListener("toggle", () => details.open && details.render());
  return details;
}

function withCopy(element, text, label) {
  return el("div", { class: "copyable" }, element, copyButton(text, label));
}

function panel(kind, heading, ...inside) {
  return el("section", { class: `panel ${kind}` }, el("div", { class: "heading" }, heading), inside);
}

// ---- the action ------------------------------------------------------------------------------------------------------

function codePanel(turn, action, tools) {
  const remarks = new Map();
  const marked = new Map();
  for (const finding of action.findings) {
    remarks.set(finding.line, [...(remarks.get(finding.line) ?? []), remark(finding)]);
    marked.set(finding.line, finding.severity === "error" ? "refused" : "warned");
  }
  const raised = raisedAt(action);
  if (raised !== null && wasRun(action)) {
    marked.set(raised, "raised");
    remarks.set(raised, [...(remarks.get(raised) ?? []), el("div", { class: "remark error" }, el("b", null, action.error.name), ` ${firstLine(action.error.message, 300)}`)]);
  }
  const checked = action.checked === null ? null : el("span", { class: "dim" }, `checked in ${duration(action.checked - action.start)}`);
  const effects = action.effects.length === 0 ? null : el("span", { class: "dim", title: "Tools with side effects that it can reach" }, `may change: ${action.effects.join(", ")}`);
  const ran = wasRun(action) && action.end !== null ? el("span", { class: "dim" }, `ran ${duration(action.end - (action.checked ?? action.start))}`) : null;
  return panel("action", [el("h3", null, "Action"), checked, ran, effects, copyButton(() => action.code, "code")], codeBlock(action.code, { tools, remarks, marked }));
}

function remark(finding) {
  const caret = el("span", { class: "caret", "aria-hidden": "true" }, `${" ".repeat(Math.max(finding.column - 1, 0))}${"^".repeat(Math.max((finding.end_column ?? finding.column + 1) - finding.column, 1))}`);
  return el(
    "div",
    { class: `remark ${finding.severity}` },
    finding.column < 400 ? caret : null,
    el("div", null, el("b", null, finding.kind), ` ${finding.message}`),
    finding.hint ? el("div", { class: "hint" }, finding.hint) : null,
  );
}

/** The action's line at which it raised. */
function raisedAt(action) {
  const places = [...(action.error?.traceback ?? "").matchAll(/File "<action \d+>", line (\d+)/g)];
  return places.length === 0 ? null : Number(places.at(-1)[1]);
}

// ---- calls -----------------------------------------------------------------------------------------------------------

function callsPanel(action, turn) {
  const starts = action.calls.flatMap((call) => [call.start, ...call.asks.map((ask) => ask.requested)]).filter((at) => at !== null);
  const end = action.end ?? turn.end;
  const scale = scaleOf(Math.min(...starts, end), Math.max(...action.calls.map((call) => call.end ?? end)));
  const failed = action.calls.filter((call) => call.error !== null).length;
  const list = el("div", { class: "calls" });
  const fill = (from, to) => action.calls.slice(from, to).forEach((call) => list.append(callView(call, scale, end)));
  fill(0, 100);
  const panelled = panel(
    "tools",
    [el("h3", null, count(action.calls.length, "call")), failed ? el("span", { class: "chip bad" }, `${failed} failed`) : null, el("span", { class: "dim" }, `over ${duration(scale.length)}`)],
    list,
  );
  if (action.calls.length > 100) {
    const more = el("button", { class: "more", type: "button" }, `Show all ${count(action.calls.length, "call")}`);
    more.addEventListener("click", () => (more.remove(), fill(100)));
    more.dataset.rest = "calls";
    panelled.append(more);
  }
  return panelled;
}

function callView(call, scale, end) {
  const track = el(
    "span",
    { class: "track" },
    call.asks.filter((ask) => ask.requested !== null).map((ask) => bar("wait", ask.requested, ask.decided ?? end, scale, "waited for approval")),
    bar(`tool ${call.error === null ? "" : "bad"}`, call.start, call.end ?? end, scale, duration(call.seconds)),
  );
  const outcome = call.error !== null ? el("span", { class: "failure" }, firstLine(call.error, 80)) : el("span", { class: "arrow" }, "→ ", brief(call.result, 60));
  const details = el(
    "details",
    { class: `call ${call.error === null ? "" : "bad"}`, id: `call-${call.id}` },
    el(
      "summary",
      null,
      el("span", { class: "name" }, el("b", null, call.tool), el("span", { class: "arguments" }, `(${briefArguments(call.arguments)})`)),
      outcome,
      track,
      el("span", { class: "took" }, call.start === null ? "not run" : call.end === null ? "unfinished" : duration(call.seconds)),
    ),
  );
  details.render = () => details.children.length === 1 && add(details, callBody(call));
  details.addEventListener("toggle", () => details.open && details.render());
  return details;
}

function callBody(call) {
  const rows = [];
  const row = (name, ...inside) => rows.push(el("dt", null, name), el("dd", null, inside));
  for (const ask of call.asks) row("Approval", approval(call, ask));
  if (Object.keys(call.arguments).length > 0) {
    row("Arguments", withCopy(argumentList(call.arguments), () => JSON.stringify(call.arguments, null, 2), "arguments"));
  }
  for (const report of call.reports) row("Progress", report.message);
  for (const retry of call.retries) {
    row(`Attempt ${retry.attempt}`, el("span", { class: "failure" }, retry.error), ` tried again after ${duration(retry.seconds)}`);
  }
  if (call.error !== null) row("Error", withCopy(longText(call.error, "plain failure"), () => call.error, "error"));
  else if (call.end !== null) row("Result", withCopy(el("div", null, valueView(call.result)), () => JSON.stringify(call.result, null, 2), "result"));
  row("Call", `number ${call.id}`, permalink(`call-${call.id}`, `call ${call.id}`));
  return el("dl", { class: "inside" }, rows);
}

function argumentList(values) {
  return el("dl", { class: "arguments" }, Object.entries(values).map(([name, value]) => [el("dt", null, name), el("dd", null, valueView(value))]));
}

function approval(call, ask) {
  const waited = ask.waited === null || ask.waited === undefined ? "" : ` after ${duration(ask.waited)}`;
  const verdict =
    ask.verdict === undefined
      ? chip("warn", "waiting")
      : [chip(ask.verdict === "allow" ? "good" : "bad", ask.verdict === "allow" ? "allowed" : "denied"), ` by ${ask.by || "somebody"}${waited}`];
  const edited = ask.arguments ? [el("div", { class: "dim" }, "with these arguments instead:"), argumentList(ask.arguments)] : null;
  return [
    verdict,
    ask.when ? el("time", { class: "dim", datetime: ask.when }, ` ${ask.when.replace("T", " ").replace("+00:00", " UTC")}`) : null,
    ask.reason ? el("div", null, "Asked because: ", ask.reason) : null,
    ask.answered ? el("div", null, "Reason given: ", ask.answered) : null,
    edited,
  ];
}

// ---- what came of it -------------------------------------------------------------------------------------------------

function outcome(action) {
  const parts = [];
  const shown = (kind, title, text, className = "plain") =>
    parts.push(panel(kind, [el("h3", null, title), copyButton(() => text, title.toLowerCase())], longText(text, className)));
  if (action.stdout.trim()) shown("output", "Output", action.stdout.replace(/\n$/, ""));
  if (action.stderr.trim()) shown("output", "Error output", action.stderr.replace(/\n$/, ""));
  if (action.result !== null) shown("output", "Value of the last line", action.result);
  const error = action.error;
  if (error !== null && error.kind !== "check") {
    const title = { tool: "A tool failed", python: "The action raised", limit: "A limit was reached", sandbox: "The sandbox failed" }[error.kind] ?? "Error";
    shown("error", title, error.traceback || `${error.name}: ${error.message}`, "plain traceback");
    if (error.state_lost) parts.push(el("p", { class: "remark error" }, "All variables are gone; the next action starts in a fresh interpreter."));
  }
  if (error !== null && error.kind === "check" && action.findings.length === 0) shown("error", "Refused by the check", error.message);
  return parts;
}

function files(artifacts) {
  const shown = artifacts.map((file) => {
    const link = el("a", { class: "save", href: "#", title: `Save ${file.name}` }, icon("save"), file.name, el("span", { class: "dim" }, bytes(file.size)));
    link.addEventListener("click", (event) => {
      event.preventDefault();
      save(file);
    });
    return el("figure", null, file.image ? picture(file) : null, el("figcaption", null, link));
  });
  return panel("files", [el("h3", null, count(artifacts.length, "file"))], el("div", { class: "gallery" }, shown));
}

function picture(file) {
  return el("img", { src: `data:${file.type};base64,${file.data}`, alt: file.name });
}

/** Save a file; it never becomes a page of its own, whatever it holds. */
function save(file) {
  const content = Uint8Array.from(atob(file.data), (character) => character.charCodeAt(0));
  const address = URL.createObjectURL(new Blob([content], { type: "application/octet-stream" }));
  el("a", { href: address, download: file.name.split("/").at(-1) }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

// ---- between the turns -----------------------------------------------------------------------------------------------

const NOTES = {
  warning_raised: ["warn", "Warning"],
  limit_reached: ["bad", "Limit reached"],
  context_trimmed: ["", "Context trimmed"],
  diverged: ["bad", "Diverged"],
  run_paused: ["warn", "Paused"],
  run_resumed: ["", "Resumed"],
};

function noteView(note, run) {
  const [kind, title] = NOTES[note.type];
  const inside = [el("b", null, title), " "];
  if (note.type === "run_resumed") {
    const idle = run.breaks.find((each) => Math.abs(each.at - note.at) < 0.001);
    inside.push(`${idle ? `after ${duration(idle.seconds)}; ` : ""}${count(note.actions, "action")} run again, ${count(note.calls, "call")} answered from the journal.`);
  } else {
    inside.push(note.message);
  }
  if (note.type === "context_trimmed") inside.push(el("span", { class: "dim" }, ` ${grouped.format(note.tokens_before)} → ${count(note.tokens_after, "token")}`));
  if (note.type === "diverged") inside.push(el("div", { class: "versus" }, longText(note.recorded, "plain"), longText(note.now, "plain")));
  if (note.type === "run_paused") inside.push(el("ul", null, note.waiting.map((call) => el("li", null, el("code", null, `${call.tool}(${briefArguments(call.arguments)})`)))));
  return el("div", { class: `note ${kind}`, id: note.id }, inside);
}
