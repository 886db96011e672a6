// Elements of the page. Values are inserted as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

// Escapes control characters, direction changes and invisible characters, like `runtime.printable`.
const HIDDEN = /(?![\n\t])[\p{C}\p{Zl}\p{Zp}]/gu;
const escaped = (hidden) => hidden.split("").map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`).join("");
export const printable = (text) => text.replace(HIDDEN, escaped);

export function put(id, text) {
  fill(byId(id), text);
}

export function fill(element, text) {
  const shown = printable(text);
  if (element.textContent !== shown) element.textContent = shown;
}

export function element(name, className, text) {
  const made = document.createElement(name);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = printable(text);
  return made;
}

export const drawn = (name) => document.createElementNS(SVG, name);

export function cell(text, className) {
  return element("td", className, text);
}

export function rowHeader(text) {
  const made = element("th", "", text);
  made.scope = "row";
  return made;
}

// Keeps one child per item, in the items' order; `make` creates it once, `fill` updates it.
export function list(parent, items, keyOf, make, fill) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  items.forEach((item, index) => {
    const key = keyOf(item);
    const child = known.get(key) ?? make(item);
    child.dataset.key = key;
    known.delete(key);
    fill(child, item);
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
  });
  known.forEach((child) => child.remove());
}
