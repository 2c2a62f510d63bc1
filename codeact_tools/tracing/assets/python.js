// Python, coloured: one pass of a regular expression, good enough for code that may be broken.

const KEYWORDS = new Set(
  ("and as assert async await break case class continue def del elif else except finally for from global if import in " +
    "is lambda match nonlocal not or pass raise return try while with yield").split(" "),
);
const CONSTANTS = new Set(["True", "False", "None", "self", "Ellipsis", "NotImplemented"]);
const TOKEN = new RegExp(
  [
    "(?<comment>#[^\\n]*)",
    "(?<string>\\b[rbuf]{0,2}(?:\"\"\"[\\s\\S]*?(?:\"\"\"|$)|'''[\\s\\S]*?(?:'''|$)|\"(?:\\\\.|[^\"\\\\\\n])*\"?|'(?:\\\\.|[^'\\\\\\n])*'?)" +
      "|\"\"\"[\\s\\S]*?(?:\"\"\"|$)|'''[\\s\\S]*?(?:'''|$)|\"(?:\\\\.|[^\"\\\\\\n])*\"?|'(?:\\\\.|[^'\\\\\\n])*'?)",
    "(?<number>\\b(?:0[xob][\\da-f_]+|\\d[\\d_]*(?:\\.[\\d_]*)?(?:e[+-]?\\d+)?)j?\\b)",
    "(?<decorator>^[ \\t]*@[\\w.]+)",
    "(?<name>[\\p{L}_][\\p{L}\\p{N}_]*)",
  ].join("|"),
  "gimu",
);

/** The code's tokens as [class, text]; class "" is plain. */
function tokens(code, tools) {
  const found = [];
  let end = 0;
  let before = "";
  for (const match of code.matchAll(TOKEN)) {
    if (match.index > end) found.push(["", code.slice(end, match.index)]);
    end = match.index + match[0].length;
    found.push([tokenClass(match, code, end, before, tools), match[0]]);
    if (match.groups.name) before = match[0];
  }
  if (end < code.length) found.push(["", code.slice(end)]);
  return found;
}

function tokenClass(match, code, end, before, tools) {
  const { comment, string, number, decorator, name } = match.groups;
  if (comment) return "t-comment";
  if (string) return "t-string";
  if (number) return "t-number";
  if (decorator) return "t-name";
  if (KEYWORDS.has(name)) return "t-keyword";
  if (CONSTANTS.has(name)) return "t-number";
  if (tools.has(name)) return "t-tool";
  if (before === "def" || before === "class") return "t-name";
  return code[end] === "(" ? "t-name" : "";
}

/** The code as numbered lines; `remarks` maps a line's number to elements that belong below it. */
function codeBlock(code, { tools = new Set(), remarks = new Map(), marked = new Map() } = {}) {
  const block = el("div", { class: "code", tabindex: "0", role: "region", "aria-label": "Python code" });
  let number = 0;
  let line = null;
  const start = () => {
    if (line !== null && remarks.has(number)) add(block, remarks.get(number));
    number += 1;
    line = el("div", { class: `line ${marked.get(number) ?? ""}`, "data-line": String(number) });
    block.append(line);
  };
  start();
  for (const [kind, text] of tokens(code, tools)) {
    text.split("\n").forEach((piece, index) => {
      if (index > 0) {
        line.append("\n");
        start();
      }
      if (piece) line.append(kind ? el("span", { class: kind }, piece) : piece);
    });
  }
  if (remarks.has(number)) add(block, remarks.get(number));
  for (const [at, elements] of remarks) if (at > number || at < 1) add(block, elements);
  return block;
}
