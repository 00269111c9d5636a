"use strict";
// Elements are made, never parsed: a name, an instruction or a reply is text wherever it stands.

const data = window.BENCH;

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
const svg = (tag, attributes, ...children) =>
  fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
const bdi = (text) => h("bdi", null, String(text));
const number = (value) => (value === null || value === undefined ? "–" : value.toFixed(2));
const address = (...parts) => "#/" + parts.map((part) => encodeURIComponent(part)).join("/");
const modelName = (at) => data.names.models[at];
const count = (n, one, many) => `${n.toLocaleString("en")} ${n === 1 ? one : many}`;

// What a judge is asked, as a column's heading.
function heading(rubric) {
  if (rubric.startsWith("instruction-following")) return "IF";
  if (rubric.startsWith("physics-alignment")) return "PA";
  return rubric;
}

function verdict(yes, words) {
  return h("span", { class: `verdict ${yes ? "yes" : "no"}` }, words || (yes ? "yes" : "no"));
}
