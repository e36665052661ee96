/** A model's card: the headings, lists, code and paragraphs that cards are written in, as elements. */
import { h } from "./dom.js";

/** Elements of a text; what stands between --- at its head is for other readers. */
export function markdown(text) {
  const body = text.replace(/^---\n[\s\S]*?\n---\n/, "");
  return body.split(/\n{2,}/).filter((block) => block.trim()).map(blockOf);
}

function blockOf(block) {
  const heading = /^(#{1,4})\s+(.*)$/.exec(block.trim());
  if (heading) return h(`h${Math.min(heading[1].length + 2, 6)}`, {}, inline(heading[2]));
  if (/^ {4}/.test(block)) return h("pre", {}, block.replaceAll(/^ {4}/gm, ""));
  if (/^[-*] /.test(block.trim())) {
    return h("ul", {}, block.trim().split(/\n(?=[-*] )/).map((item) => h("li", {}, inline(item.slice(2)))));
  }
  if (/^\|/.test(block.trim())) return tableOf(block.trim());
  return h("p", {}, inline(block.trim()));
}

function tableOf(block) {
  const rows = block.split("\n").filter((row) => !/^[|\s:-]+$/.test(row)).map((row) => row.split("|").slice(1, -1));
  return h("div", { class: "scroll" }, h("table", {}, rows.map((row, k) => h("tr", {}, row.map((cell) => h(k ? "td" : "th", {}, inline(cell.trim())))))));
}

/** `code` and **bold** within a line. */
function inline(text) {
  return text.split(/(`[^`]+`|\*\*[^*]+\*\*)/).map((part) => {
    if (part.startsWith("`")) return h("code", {}, part.slice(1, -1));
    if (part.startsWith("**")) return h("b", {}, part.slice(2, -2));
    return part;
  });
}
