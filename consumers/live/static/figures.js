// The key figures, and the balance of today's events.

import { byId, element, list, put } from "./dom.js";
import { UNKNOWN, asOf, clock, compact, count, duration, isOld, plural, rate } from "./text.js";

const LATE_MS = 30000;

export function showFigures(state) {
  showFreshness(state);
  showRate(state);
  showAcknowledged(state);
  showQuarantined(state);
}

function showFreshness({ freshness, window: recent, now_ms: now }) {
  const age = freshness.age_ms;
  put("freshness", age == null ? "–" : duration(age));
  byId("freshness").classList.toggle("behind", age > LATE_MS);
  const words = age == null ? "unknown" : age === 0 ? "every acknowledged event can be queried" : "age of the oldest event that cannot be queried";
  const delays = recent?.delay_p50_ms == null ? "" : `; half within ${duration(recent.delay_p50_ms)}, 99% within ${duration(recent.delay_p99_ms)}`;
  put("freshness-note", freshness.as_of_ms == null ? words + delays : asOf(freshness.as_of_ms, now, words + delays));
}

function showRate({ window: recent, total, now_ms: now }) {
  put("rate", recent ? rate(recent.per_second) : "–");
  const newest = total?.newest_received_at_ms;
  const last = newest == null ? "" : `; the last ${duration(Math.max(0, now - newest))} ago`;
  const when = recent && isOld(recent.end_ms, now) ? `in the minute before ${clock(recent.end_ms)}` : "in the last minute";
  put("rate-note", recent ? when + last : UNKNOWN);
}

function showAcknowledged({ balance, total, now_ms: now }) {
  put("acknowledged", balance ? compact(balance.acknowledged) : "–");
  byId("acknowledged").title = balance ? count(balance.acknowledged) : "";
  const all = total ? asOf(total.as_of_ms, now, `${plural(total.count, "event", "events")} in ClickHouse in all`) : UNKNOWN;
  put("acknowledged-note", all);
}

function showQuarantined({ quarantine, now_ms: now }) {
  put("waiting", quarantine ? compact(quarantine.waiting) : "–");
  byId("waiting").classList.toggle("behind", Boolean(quarantine?.waiting));
  put("waiting-note", quarantine ? asOf(quarantine.as_of_ms, now, `waiting, of ${count(quarantine.count)} kept in all`) : UNKNOWN);
}

// -- balance ---------------------------------------------------------------------------------------------

const PARTS = [
  ["clickhouse", "In ClickHouse"],
  ["under_way", "In flight"],
  ["spooled", "On ingest's disk"],
  ["repeats", "Duplicates, counted once"],
  ["refused", "Rejected by the loader"],
];

export function showBalance({ balance, troubles }) {
  byId("balance").hidden = !balance;
  const why = troubles.day ? `ClickHouse ${troubles.day}.` : "Not known yet, or Kafka's records do not go back to midnight.";
  put("balance-lead", balance ? `received since midnight, UTC; in flight: since ${clock(balance.settled_ms)}, or not loaded yet` : why);
  if (!balance) return;
  const parts = PARTS.map(([key, name]) => ({ key, name, value: balance[key] }));
  list(byId("balance-bar"), parts, (part) => part.key, (part) => element("span", part.key), (bar, part) => {
    bar.style.flexGrow = String(part.value);
    bar.hidden = !part.value;
  });
  list(byId("balance-parts"), parts, (part) => part.key, makePart, (row, part) => {
    row.className = part.value ? "" : "none";
    row.lastChild.textContent = count(part.value);
  });
  put("balance-sum", count(balance.acknowledged));
  put("balance-refused", `${plural(balance.turned_away, "body was", "bodies were")} rejected by ingest (400 or 422) and kept in the quarantine.`);
}

function makePart(part) {
  const row = element("tr");
  const name = element("th");
  name.scope = "row";
  const swatch = element("span", `swatch ${part.key}`);
  swatch.setAttribute("aria-hidden", "true");
  name.append(swatch, part.name);
  row.append(name, element("td", "number"));
  return row;
}
