// The newest events, one line each; opening a line shows the event's fields.

import { byId, element, list, put } from "./dom.js";
import { clock, plural } from "./text.js";

let shown = [];
let latest = null;
let hovered = false;

const parent = byId("newest");
parent.addEventListener("pointerenter", (event) => { hovered = event.pointerType === "mouse"; });
parent.addEventListener("pointerleave", () => { hovered = false; });
byId("newest-resume").addEventListener("click", () => {
  parent.querySelectorAll("details[open]").forEach((one) => { one.open = false; });
  byId("newest-title").focus();
  hovered = false;
  showNewest(latest);
});

// The list must not move while someone reads, points at or tabs through it.
const isRead = () => hovered || parent.querySelector("details[open]") !== null || parent.contains(document.activeElement);

export function showNewest(state) {
  latest = state;
  const paused = shown.length > 0 && isRead();
  const known = new Set(shown.map((event) => event.key));
  const newer = state.newest.filter((event) => !known.has(event.key)).length;
  const more = newer === state.newest.length ? `${newer} or more new events` : plural(newer, "new event", "new events");
  byId("newest-paused").hidden = !(paused && newer);
  put("newest-paused-text", paused && newer ? `Paused while you read; ${more}.` : "");
  put("newest-lead", state.newest.length ? "read from Kafka; open one to see its fields" : "None yet.");
  if (paused) return;
  shown = state.newest;
  list(parent, shown, (event) => event.key, make, () => {});
}

function make(event) {
  const item = element("li");
  const details = element("details");
  const summary = element("summary");
  summary.append(
    element("span", "time", clock(event.received_at_ms)),
    element("span", "type", event.event_type),
    element("span", "app", event.app_id),
    element("span", "device", event.device),
  );
  details.append(summary);
  details.addEventListener("toggle", () => {
    if (details.open && details.children.length === 1) open(details, event.key);
  });
  item.append(details);
  return item;
}

async function open(details, key) {
  const box = element("div", "fields");
  box.tabIndex = 0; // it scrolls
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", "Fields of the event");
  details.append(box);
  try {
    const answer = await fetch(`api/events/${encodeURIComponent(key)}`, { signal: AbortSignal.timeout(5000) });
    const found = await answer.json();
    if (!answer.ok) throw new Error(found.detail);
    box.append(fields(found));
  } catch (error) {
    box.append(element("p", "lead", error instanceof TypeError ? "The live page's process does not answer." : error.message));
  }
}

function fields(found) {
  const table = element("dl");
  let block = "";
  for (const [path, value] of Object.entries(found)) {
    const [first, rest] = split(path);
    if (rest && first !== block) table.append(element("dt", "block", first));
    block = rest ? first : "";
    table.append(element("dt", rest ? "inner" : "", rest || first), element("dd", "", words(path, value)));
  }
  return table;
}

function split(path) {
  const dot = path.indexOf(".");
  return dot < 0 ? [path, ""] : [path.slice(0, dot), path.slice(dot + 1)];
}

function words(path, value) {
  if (typeof value === "number" && /(timestamp|received_at|_time)$/.test(path)) {
    const moment = new Date(value);
    if (!Number.isNaN(moment.getTime())) return `${value} (${moment.toISOString()})`;
  }
  return typeof value === "string" ? value : JSON.stringify(value);
}
