// Arguments and results: short ones in a line, tables where rows are alike, trees otherwise.

const ROWS = 50;

function isRecord(value) {
  return value !== null && typeof value === "object" && !Array.isArray(value);
}

/** A value in one line, as Python would write it, cut after `most` characters. */
function brief(value, most = 80) {
  const text = pythonText(value, most + 1);
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

function pythonText(value, most) {
  if (value === null || value === undefined) return "None";
  if (value === true) return "True";
  if (value === false) return "False";
  if (typeof value === "number") return String(value);
  if (typeof value === "string") return quoted(value.slice(0, most));
  const parts = [];
  let length = 2;
  for (const [key, each] of Object.entries(value)) {
    const text = (Array.isArray(value) ? "" : `${quoted(key)}: `) + pythonText(each, most);
    parts.push(text);
    length += text.length + 2;
    if (length > most) break;
  }
  return Array.isArray(value) ? `[${parts.join(", ")}]` : `{${parts.join(", ")}}`;
}

function quoted(text) {
  const json = JSON.stringify(text);
  return text.includes("'") ? json : `'${json.slice(1, -1).replaceAll('\\"', '"')}'`;
}

/** Keyword arguments in one line. */
function briefArguments(values, most = 90) {
  const text = Object.entries(values).map(([name, value]) => `${name}=${brief(value, most)}`).join(", ");
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

/** A value in full. */
function valueView(value) {
  if (typeof value === "string") return value.length > 80 || value.includes("\n") ? longText(value, "plain") : scalar(value);
  if (!isRecord(value) && !Array.isArray(value)) return scalar(value);
  if (Object.keys(value).length === 0) return scalar(value);
  return tableColumns(value) === null ? tree(value) : table(value);
}

function scalar(value) {
  const kind = typeof value === "string" ? "t-string" : typeof value === "object" ? "" : "t-number";
  return el("code", { class: kind }, pythonText(value, Infinity));
}

/** The columns that all rows share; null where the value is no table. */
function tableColumns(value) {
  if (!Array.isArray(value) || value.length < 2 || !value.slice(0, ROWS).every(isRecord)) return null;
  const columns = Object.keys(value[0]);
  if (columns.length === 0 || columns.length > 12) return null;
  const alike = value.slice(0, ROWS).every((row) => Object.keys(row).join("\n") === columns.join("\n"));
  return alike ? columns : null;
}

function table(rows) {
  const columns = tableColumns(rows);
  const body = el("tbody");
  const fill = (from, to) => {
    for (const row of rows.slice(from, to)) {
      add(body, el("tr", null, columns.map((column) => el("td", null, cell(row[column])))));
    }
  };
  fill(0, ROWS);
  const head = el("thead", null, el("tr", null, columns.map((column) => el("th", { scope: "col" }, column))));
  const view = el("div", { class: "table", tabindex: "0" }, el("table", null, head, body));
  if (rows.length <= ROWS) return view;
  const more = el("button", { class: "more", type: "button" }, `Show all ${count(rows.length, "row")}`);
  more.addEventListener("click", () => {
    fill(ROWS);
    more.remove();
  });
  return el("div", { class: "long" }, view, more);
}

function cell(value) {
  return typeof value === "string" ? value : el("code", null, brief(value, 60));
}

function tree(value) {
  const list = el("ul", { class: "tree" });
  const entries = Object.entries(value);
  const fill = (from, to) => {
    for (const [key, each] of entries.slice(from, to)) add(list, branch(Array.isArray(value) ? null : key, each));
  };
  fill(0, ROWS);
  if (entries.length > ROWS) {
    const more = el("button", { class: "more", type: "button" }, `Show all ${count(entries.length, "entry").replace("entrys", "entries")}`);
    more.addEventListener("click", () => {
      more.parentElement.remove();
      fill(ROWS);
    });
    add(list, el("li", null, more));
  }
  return list;
}

function branch(key, value) {
  const label = key === null ? null : [el("span", { class: "key" }, key), ": "];
  if (typeof value !== "object" || value === null || Object.keys(value).length === 0) {
    const long = typeof value === "string" && (value.length > 120 || value.includes("\n"));
    return el("li", null, label, long ? longText(value, "plain") : scalar(value));
  }
  const fold = el("details", null, el("summary", null, label, el("code", null, brief(value, 70))));
  fold.addEventListener("toggle", () => fold.children.length === 1 && add(fold, valueView(value)));
  return el("li", null, fold);
}
