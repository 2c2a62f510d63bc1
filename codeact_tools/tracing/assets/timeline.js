// When what happened, to scale: a row for each turn, and in it the model, the check, the action and its calls.

const KINDS = { model: "Model", check: "Check", python: "Python", tool: "Tools", wait: "Approval" };

/** A bar between two times of a scale. */
function bar(kind, from, to, scale, title, lane = null) {
  if (from === null || to === null || from === undefined || to === undefined) return null;
  const element = el("span", { class: `bar ${kind}`, title });
  element.style.left = `${((from - scale.start) / scale.length) * 100}%`;
  element.style.width = `${(Math.max(to - from, 0) / scale.length) * 100}%`;
  if (lane !== null) {
    element.style.top = `${15 + (70 / lane.of) * lane.at}%`;
    element.style.height = `${Math.max(70 / lane.of - (lane.of > 1 ? 6 : 0), 6)}%`;
  }
  return element;
}

function scaleOf(start, end) {
  return { start, end, length: Math.max(end - start, 1e-6) };
}

/** Which lane each call runs in, so that calls at the same time stand below each other. */
function lanes(calls) {
  const free = [];
  const lane = new Map();
  for (const call of calls.filter((each) => each.start !== null).sort((a, b) => a.start - b.start)) {
    let at = free.findIndex((until) => until <= call.start);
    if (at < 0) at = free.push(0) - 1;
    free[at] = call.end ?? Infinity;
    lane.set(call.id, at);
  }
  return { lane, of: Math.max(free.length, 1) };
}

/** The bars of one turn. */
function turnBars(turn, scale) {
  const action = turn.action;
  const bars = [bar("model", turn.start, turn.replied ?? turn.end, scale, `Model: ${duration((turn.replied ?? turn.end) - turn.start)}`)];
  if (action !== null) {
    const ran = action.checked ?? action.start;
    const end = action.end ?? turn.end;
    bars.push(bar("check", action.start, action.checked, scale, `Check: ${duration(action.checked - action.start)}`));
    if (wasRun(action)) bars.push(bar("python", ran, end, scale, `Python and tools: ${duration(end - ran)}`));
    bars.push(...callBars(action, end, scale));
  }
  return bars;
}

function callBars(action, end, scale) {
  const { lane, of } = lanes(action.calls);
  const most = Math.min(of, 6);
  return action.calls.flatMap((call) => {
    const place = { at: Math.min(lane.get(call.id) ?? 0, most - 1), of: most };
    const asked = call.asks.filter((ask) => ask.requested !== null);
    return [
      ...asked.map((ask) => bar("wait", ask.requested, ask.decided ?? end, scale, `${call.tool}: approval`, place)),
      bar(`tool ${call.error ? "bad" : ""}`, call.start, call.end ?? end, scale, `${call.tool}: ${duration(call.seconds)}`, place),
    ];
  });
}

function wasRun(action) {
  return !(action.error !== null && action.error.kind === "check");
}

const STEPS = [15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400];

/** Marks of a scale at round numbers. */
function ticks(length) {
  const rough = length / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const choices = rough > 10 ? [...STEPS, 10 * power] : [1, 2, 5, 10].map((each) => each * power);
  const step = choices.find((each) => each >= rough);
  return Array.from({ length: Math.floor(length / step + 1e-9) + 1 }, (_, index) => index * step);
}

function tickText(seconds) {
  if (seconds === 0) return "0";
  if (seconds < 0.9995) return `${Number((seconds * 1000).toPrecision(3))} ms`;
  return seconds < 60 ? `${Number(seconds.toFixed(2))} s` : duration(seconds).replace(/ 0 (s|min)$/, "");
}

function axis(length) {
  const marks = el("div", { class: "axis track", "aria-hidden": "true" });
  for (const at of ticks(length)) {
    const tick = el("span", { class: "tick" }, tickText(at));
    tick.style.left = `${(at / length) * 100}%`;
    if (at / length < 0.94) marks.append(tick);
  }
  return el("div", { class: "row head" }, el("span", { class: "label" }), marks, el("span", { class: "took" }));
}

/** A row for each turn; `side` puts all turns at the same start, to compare how long they took. */
function rows(run, turns, side) {
  const longest = Math.max(...turns.map((turn) => turn.end - turn.start), 1e-3);
  const whole = scaleOf(0, Math.max(run.seconds, 1e-3));
  const made = turns.map((turn) => {
    const scale = side ? scaleOf(turn.start, turn.start + longest) : whole;
    return el(
      "a",
      { class: `row ${turn.bad ? "bad" : ""}`, href: `#${turn.id}`, title: `Turn ${turn.label}: ${turn.gist}` },
      el("span", { class: "label" }, el("b", null, turn.label), el("span", null, ` ${turn.gist}`)),
      el("span", { class: "track" }, turnBars(turn, scale), side ? null : breakLines(run, scale)),
      el("span", { class: "took" }, duration(turn.end - turn.start)),
    );
  });
  return [axis(side ? longest : whole.length), made];
}

function timeline(run, turns) {
  const list = el("div", { class: "rows", tabindex: "0", role: "group", "aria-label": "Turns in time" });
  const modes = ["In time", "Side by side"].map((name, place) => el("button", { type: "button", "aria-pressed": "false", onclick: () => choose(place) }, name));
  const choose = (place) => {
    list.replaceChildren();
    add(list, rows(run, turns, place === 1));
    modes.forEach((mode, at) => mode.setAttribute("aria-pressed", String(at === place)));
  };
  choose(turns.length > 60 ? 1 : 0);
  const heading = el("div", { class: "heading" }, el("h2", null, "Timeline"), turns.length > 1 ? el("div", { class: "modes" }, modes) : null, legend(run, turns));
  return el("section", { id: "timeline", "aria-label": "Timeline" }, heading, list);
}

function breakLines(run, scale) {
  return run.breaks.map((each) => {
    const line = el("span", { class: "break", title: `Nothing worked on the run for ${duration(each.seconds)}` });
    line.style.left = `${(each.at / scale.length) * 100}%`;
    return line;
  });
}

/** Seconds of each kind; calls at the same time count once. */
function totals(run, turns) {
  const sums = { model: 0, check: 0, python: 0, tool: 0, wait: 0 };
  for (const turn of turns) {
    sums.model += (turn.replied ?? turn.end) - turn.start;
    const action = turn.action;
    if (action === null) continue;
    const end = action.end ?? turn.end;
    const ran = action.checked ?? action.start;
    sums.check += ran - action.start;
    if (!wasRun(action)) continue;
    const waiting = covered(action.calls.flatMap((call) => call.asks).filter((ask) => ask.requested !== null).map((ask) => [ask.requested, ask.decided ?? end]));
    const tools = covered(action.calls.filter((call) => call.start !== null).map((call) => [call.start, call.end ?? end]));
    sums.tool += tools;
    sums.wait += waiting;
    sums.python += Math.max(end - ran - tools - waiting, 0);
  }
  return sums;
}

function covered(spans) {
  let sum = 0;
  let until = -Infinity;
  for (const [start, end] of spans.sort((a, b) => a[0] - b[0])) {
    sum += Math.max(end - Math.max(start, until), 0);
    until = Math.max(until, end);
  }
  return sum;
}

function legend(run, turns) {
  const sums = totals(run, turns);
  return el(
    "ul",
    { class: "legend" },
    Object.entries(KINDS)
      .filter(([kind]) => kind !== "wait" || sums.wait > 0)
      .map(([kind, name]) => el("li", null, el("i", { class: `swatch ${kind}` }), `${name} `, el("b", null, duration(sums[kind])))),
  );
}
