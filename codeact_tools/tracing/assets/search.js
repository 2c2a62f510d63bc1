// Search over everything, also over what is folded: all words must occur in the same piece of the run.

const MOST_HITS = 200;

/** Pieces of the run that can be found: where they are, what they are, their text. */
function* pieces(run, turns) {
  for (const task of run.tasks) {
    yield { id: "top", kind: "task", text: task.task };
    if (task.answer !== null && task.answer !== undefined) yield { id: "answer", kind: "answer", text: plain(task.answer) };
    if (task.message) yield { id: "answer", kind: task.state, text: `${task.error ?? ""} ${task.message}` };
    for (const item of task.items) if (item.type !== "turn") yield { id: item.id, kind: NOTES[item.type][1].toLowerCase(), text: noteText(item) };
  }
  for (const turn of turns) {
    yield { id: turn.id, turn, kind: "reply", text: turn.text };
    const action = turn.action;
    if (action === null) continue;
    yield { id: turn.id, turn, kind: "code", text: action.code };
    for (const finding of action.findings) yield { id: turn.id, turn, kind: "finding", text: `${finding.message} ${finding.hint ?? ""}` };
    for (const [kind, text] of [["output", action.stdout], ["error output", action.stderr], ["value", action.result], ["error", action.error?.traceback || action.error?.message], ["observation", action.read]]) {
      if (text) yield { id: turn.id, turn, kind, text };
    }
    for (const file of action.artifacts) yield { id: turn.id, turn, kind: "file", text: file.name };
    for (const call of action.calls) {
      const rest = [call.asks, call.retries, call.reports].flat();
      yield { id: `call-${call.id}`, turn, kind: call.tool, text: [call.tool, plain(call.arguments), call.error ?? plain(call.result), ...rest.map(plain)].join("\n") };
    }
  }
  if (run.system) yield { id: "system", kind: "system prompt", text: run.system };
}

function noteText(note) {
  const waiting = (note.waiting ?? []).map((call) => `${call.tool}(${briefArguments(call.arguments)})`);
  return [note.message, note.limit, ...waiting, note.recorded, note.now].filter(Boolean).join(" ");
}

function plain(value) {
  return typeof value === "string" ? value : (JSON.stringify(value) ?? "");
}

function words(query) {
  return query.toLowerCase().split(/\s+/).filter(Boolean);
}

/** A piece of text around the first word. */
function snippet(text, wanted) {
  const low = text.toLowerCase();
  const at = Math.max(low.indexOf(wanted[0]), 0);
  const from = Math.max(at - 30, 0);
  const cut = text.slice(from, at + 90).replaceAll(/\s+/g, " ");
  const line = el("span", { class: "snippet" }, from > 0 ? "…" : null);
  let rest = cut;
  while (rest) {
    const found = wanted.map((word) => [rest.toLowerCase().indexOf(word), word.length]).filter(([place]) => place >= 0).sort((a, b) => a[0] - b[0])[0];
    if (found === undefined) break;
    add(line, rest.slice(0, found[0]), el("mark", null, rest.slice(found[0], found[0] + found[1])));
    rest = rest.slice(found[0] + found[1]);
  }
  return add(line, rest);
}

class Search {
  constructor(run, turns, show) {
    this.index = null;
    this.make = () => [...pieces(run, turns)].map((piece) => ({ ...piece, low: piece.text.toLowerCase() }));
    this.show = show;
    this.chosen = -1;
    this.input = el("input", {
      id: "search", type: "search", placeholder: "Search everything", autocomplete: "off", spellcheck: "false", role: "combobox",
      "aria-label": "Search everything", "aria-controls": "hits", "aria-expanded": "false", "aria-autocomplete": "list",
    });
    this.list = el("div", { id: "hits", role: "listbox", "aria-label": "Hits", hidden: true });
    this.view = el("div", { class: "search", role: "search" }, icon("search"), this.input, el("kbd", { "aria-hidden": "true" }, "/"), this.list);
    this.input.addEventListener("input", () => this.find());
    this.input.addEventListener("focus", () => this.input.value && this.open(true));
    this.input.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("pointerdown", (event) => this.view.contains(event.target) || this.open(false));
  }

  open(shown) {
    this.list.hidden = !shown;
    this.input.setAttribute("aria-expanded", String(shown));
  }

  find() {
    const wanted = words(this.input.value);
    this.list.replaceChildren();
    this.chosen = -1;
    highlight(wanted);
    if (wanted.length === 0) return this.open(false);
    this.index ??= this.make();
    const hits = this.index.filter((piece) => wanted.every((word) => piece.low.includes(word)));
    const sum = hits.length === 0 ? "Nothing found" : `${count(hits.length, "hit")}${hits.length > MOST_HITS ? `, the first ${MOST_HITS} of them` : ""}`;
    add(this.list, el("div", { class: "sum", role: "presentation" }, sum));
    hits.slice(0, MOST_HITS).forEach((hit, place) => {
      const where = hit.turn ? `Turn ${hit.turn.label}` : "";
      const entry = el("a", { class: "hit", role: "option", href: `#${hit.id}`, id: `hit-${place}`, tabindex: "-1", "aria-selected": "false" }, el("span", { class: "where" }, where, el("b", null, hit.kind)), snippet(hit.text, wanted));
      entry.addEventListener("click", (event) => {
        event.preventDefault();
        this.take(place);
      });
      this.list.append(entry);
    });
    this.hits = hits;
    this.open(true);
    return undefined;
  }

  key(event) {
    const entries = this.list.querySelectorAll(".hit");
    if (event.key === "Escape") {
      if (this.list.hidden) this.input.blur();
      this.open(false);
    } else if (event.key === "Enter" && entries.length > 0) {
      this.take(Math.max(this.chosen, 0));
    } else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && entries.length > 0) {
      const next = this.chosen + (event.key === "ArrowDown" ? 1 : -1);
      this.choose((next + entries.length) % entries.length, entries);
    } else return;
    event.preventDefault();
  }

  choose(place, entries) {
    entries[this.chosen]?.setAttribute("aria-selected", "false");
    this.chosen = place;
    entries[place].setAttribute("aria-selected", "true");
    entries[place].scrollIntoView({ block: "nearest" });
    this.input.setAttribute("aria-activedescendant", entries[place].id);
  }

  take(place) {
    this.open(false);
    this.show(this.hits[place].id);
    highlight(words(this.input.value));
  }
}

/** Mark the words wherever they are shown, without touching the page's elements. */
function highlight(wanted) {
  if (CSS.highlights === undefined) return;
  CSS.highlights.delete("search");
  if (wanted.length === 0 || wanted.every((word) => word.length < 2)) return;
  const ranges = [];
  const walker = document.createTreeWalker(document.getElementById("main"), NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node !== null && ranges.length < 5000; node = walker.nextNode()) {
    const low = node.data.toLowerCase();
    for (const word of wanted) {
      for (let at = low.indexOf(word); at >= 0 && at + word.length <= node.length; at = low.indexOf(word, at + word.length)) {
        const range = new Range();
        range.setStart(node, at);
        range.setEnd(node, at + word.length);
        ranges.push(range);
      }
    }
  }
  CSS.highlights.set("search", new Highlight(...ranges));
}
