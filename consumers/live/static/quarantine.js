// The quarantine by fault: a sample of each, and a button that replays its bodies.

import { byId, element, fill, list, printable, put } from "./dom.js";
import { asOf, clock, count, duration, plural } from "./text.js";

const SOURCES = { ingest: "rejected by ingest", warehouse: "rejected by the loader" };
const RESULTS = { done: "All were replayed.", stays: "Some were rejected again.", failed: "The replay failed." };

let latest = null;
let awaiting = null; // the group that awaits confirmation
let problem = "";

const keyOf = (group) => JSON.stringify([group.reason, group.pointer, group.source]);
const place = (group) => group.pointer || (group.source === "ingest" ? "the whole body" : "the record");

export function showQuarantine(state) {
  latest = state;
  const { quarantine, replay, troubles, now_ms: now } = state;
  showReplay(replay);
  if (!quarantine) return;
  const kept = `${count(quarantine.waiting)} of ${plural(quarantine.count, "body waits", "bodies wait")} to be replayed`;
  const why = troubles.quarantine ? `; ClickHouse ${troubles.quarantine}` : "";
  put("quarantine-lead", quarantine.count ? asOf(quarantine.as_of_ms, now, kept) + why : "Empty: every event was loaded.");
  list(byId("groups"), quarantine.groups, keyOf, makeGroup, (item, group) => fillGroup(item, group, replay));
}

// -- groups ----------------------------------------------------------------------------------------------

function makeGroup(group) {
  const item = element("li");
  const head = element("div", "head");
  head.append(element("strong", "reason", group.reason), element("code", "pointer", place(group)));
  const numbers = element("p", "numbers");
  const detail = element("p", "detail");
  const sample = element("details", "sample");
  sample.append(element("summary", "", "Sample"), element("pre"));
  sample.lastChild.tabIndex = 0; // it scrolls
  sample.lastChild.setAttribute("role", "group");
  sample.lastChild.setAttribute("aria-label", printable(`Sample of ${group.reason} at ${place(group)}`));
  sample.addEventListener("toggle", () => { if (sample.open) showSample(sample, item.dataset.sample); });
  const button = element("button", "replay", "Replay");
  button.type = "button";
  button.addEventListener("click", () => ask(JSON.parse(item.dataset.key)));
  item.append(head, button, numbers, detail, sample);
  return item;
}

function fillGroup(item, group, replay) {
  item.dataset.sample = group.sample;
  fill(
    item.querySelector(".numbers"),
    `${count(group.waiting)} of ${count(group.count)} waiting; ${SOURCES[group.source] ?? group.source}, last at ${clock(group.newest_ms)}`,
  );
  fill(item.querySelector(".detail"), group.detail);
  const button = item.querySelector(".replay");
  button.disabled = !group.waiting || replay?.result === "running";
  button.textContent = group.waiting ? `Replay ${count(group.waiting)}…` : "Replayed";
}

async function showSample(sample, key) {
  const box = sample.lastChild;
  box.textContent = "…";
  try {
    const answer = await fetch(`api/samples/${encodeURIComponent(key)}`, { signal: AbortSignal.timeout(5000) });
    const found = await answer.json();
    fill(box, answer.ok ? found.text : found.detail);
  } catch {
    box.textContent = "The live page's process does not answer.";
  }
}

// -- replay ----------------------------------------------------------------------------------------------

const dialog = byId("ask");
byId("ask-no").addEventListener("click", () => dialog.close());
byId("ask-yes").addEventListener("click", () => {
  dialog.close();
  begin(awaiting);
});

function ask([reason, pointer, source]) {
  const group = latest.quarantine.groups.find((one) => keyOf(one) === JSON.stringify([reason, pointer, source]));
  if (!group) return;
  awaiting = { reason, pointer, source };
  put("ask-title", `Replay ${plural(group.waiting, "body", "bodies")}?`);
  put("ask-what", `Reason: ${reason} at ${place(group)}.`);
  put("ask-how", source === "ingest"
    ? "Each is posted to ingest again and checked by today's rules."
    : "Each is loaded into its table again.");
  put("ask-yes", `Replay ${count(group.waiting)}`);
  dialog.showModal();
}

async function begin(group) {
  problem = "";
  try {
    const answer = await fetch("api/replay", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(group),
      signal: AbortSignal.timeout(5000),
    });
    if (!answer.ok) problem = (await answer.json()).detail;
  } catch {
    problem = "The live page's process does not answer.";
  }
  showReplay(latest.replay);
}

function showReplay(replay) {
  byId("replay").hidden = !replay && !problem;
  byId("replay-bar").hidden = replay?.result !== "running";
  put("replay-problem", problem);
  if (!replay) return;
  const running = replay.result === "running";
  byId("replay-bar").max = Math.max(1, replay.total);
  byId("replay-bar").value = Math.min(replay.total, replay.placed + replay.stays);
  byId("replay").dataset.result = replay.result;
  const what = `${replay.reason} at ${place(replay)}`;
  const sums = `${count(replay.placed)} replayed, ${count(replay.stays)} rejected again`;
  put("replay-title", running ? `Replaying ${plural(replay.total, "body", "bodies")}: ${what}` : `Replay of ${what}: ${RESULTS[replay.result] ?? replay.result}`);
  put("replay-text", running ? `${sums} so far` : replay.result === "failed" ? "" : `${sums}, in ${duration(Math.max(100, replay.ended_ms - replay.started_ms))}`);
  list(byId("replay-words"), replay.words.map((text, index) => ({ text, index })), (word) => String(word.index), () => element("li"), (item, word) => {
    fill(item, word.text);
  });
}
