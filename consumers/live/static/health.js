// The health of the processes, lag and spool, and notices of problems.

import { byId, element, fill, list, put } from "./dom.js";
import { asOf, bytes, clock, compact, count, duration, plural } from "./text.js";

export const NAMES = { ingest: "ingest", kafka: "Kafka", warehouse: "warehouse", clickhouse: "ClickHouse", live: "live" };
const ROLES = {
  ingest: "receives events",
  kafka: "stores events",
  warehouse: "loads events",
  clickhouse: "answers SQL",
  live: "this page",
};
const HEALTH = { up: "up", down: "down", unknown: "unknown" };
const CONSEQUENCES = {
  ingest: "Tapcart retries unanswered events for 5 minutes, then drops them.",
  kafka: "Meanwhile ingest keeps new events on its disk. Freshness and lag are unknown.",
  warehouse: "Events wait in Kafka until it runs.",
  clickhouse: "Events wait in Kafka until it is back.",
};

// -- health ----------------------------------------------------------------------------------------------

function makeComponent() {
  const item = element("li");
  const name = element("span", "name");
  name.append(element("strong"), element("span"));
  item.append(element("span", "dot"), name, element("span", "state"), element("span", "detail"));
  item.firstChild.setAttribute("aria-hidden", "true");
  return item;
}

export function showHealth(state, connected) {
  const components = state.components.map((one) =>
    one.name === "live" && !connected ? { ...one, health: "down", detail: "does not answer" } : one);
  list(byId("health"), components, (one) => one.name, makeComponent, (item, one) => {
    item.className = one.health;
    item.children[1].firstChild.textContent = NAMES[one.name] ?? one.name;
    item.children[1].lastChild.textContent = ` ${ROLES[one.name] ?? ""}`;
    item.children[2].textContent = HEALTH[one.health] ?? one.health;
    fill(item.children[3], `${one.detail}; ${HEALTH[one.health]} since ${clock(one.since_ms)}`);
  });
  list(byId("strip"), components, (one) => one.name, makeChip, (item, one) => {
    item.className = one.health;
    item.children[1].textContent = NAMES[one.name] ?? one.name;
    item.children[2].textContent = one.health === "up" ? "" : (HEALTH[one.health] ?? one.health);
    item.setAttribute("aria-label", `${NAMES[one.name] ?? one.name}: ${HEALTH[one.health] ?? one.health}`);
  });
}

function makeChip() {
  const item = element("li");
  item.append(element("span", "dot"), element("span"), element("span", "state"));
  item.firstChild.setAttribute("aria-hidden", "true");
  return item;
}

// -- lag and spool ---------------------------------------------------------------------------------------

function makeTopic(topic) {
  const part = element("div", "topic");
  part.append(element("h3", "", topic.name), element("ul", "cells"));
  return part;
}

function fillTopic(part, topic) {
  list(part.lastChild, topic.partitions, (p) => String(p.partition), () => {
    const cell = element("li");
    cell.append(element("span", "partition"), element("span", "lag"));
    return cell;
  }, (cell, p) => {
    cell.className = p.lag ? "behind" : "";
    cell.setAttribute("aria-label", `partition ${p.partition}: ${p.lag} records`);
    cell.children[0].textContent = String(p.partition);
    cell.children[1].textContent = compact(p.lag);
  });
}

export function showLag({ lag, spool, now_ms: now }) {
  showSpool(spool, now);
  if (!lag) return;
  const topics = new Map();
  lag.partitions.forEach((p) => topics.set(p.topic, [...(topics.get(p.topic) ?? []), p]));
  const text = lag.records ? `${plural(lag.records, "record", "records")} in Kafka not loaded yet, by partition` : "Every record in Kafka is loaded; lag by partition";
  put("lag-lead", asOf(lag.as_of_ms, now, text));
  const parts = [...topics].map(([name, partitions]) => ({ name, partitions }));
  list(byId("lag"), parts, (topic) => topic.name, makeTopic, fillTopic);
}

function showSpool(spool, now) {
  byId("spool-bar").hidden = !spool?.bytes;
  if (!spool) return;
  byId("spool-bar").max = Math.max(1, spool.bytes_max);
  byId("spool-bar").value = spool.bytes;
  const oldest = spool.oldest_ms ? `, the oldest received ${duration(Math.max(0, spool.as_of_ms - spool.oldest_ms))} ago` : "";
  const text = spool.bytes
    ? `${plural(spool.records, "record waits", "records wait")} on ingest's disk${oldest}: ${bytes(spool.bytes)} of ${bytes(spool.bytes_max)}`
    : `Spool: empty, room for ${bytes(spool.bytes_max)}`;
  put("spool-text", asOf(spool.as_of_ms, now, text));
}

// -- notices ---------------------------------------------------------------------------------------

export function showNotices(state, disconnected) {
  const notices = disconnected ? [disconnected] : [];
  for (const one of (disconnected ? [] : state?.components ?? [])) {
    if (one.health !== "down") continue;
    const title = `${NAMES[one.name] ?? one.name}: ${one.detail}, since ${clock(one.since_ms)}`;
    notices.push({ key: one.name, title, text: consequence(one.name, state) });
  }
  for (const words of (disconnected ? [] : state?.topic_problems ?? [])) {
    notices.push({ key: words, title: "Problem with a Kafka topic", text: words });
  }
  list(byId("notices"), notices, (notice) => notice.key, () => {
    const box = element("p", "notice down");
    box.append(element("strong"), element("span"));
    return box;
  }, (box, notice) => {
    fill(box.children[0], notice.title);
    fill(box.children[1], notice.text);
  });
}

function consequence(name, state) {
  const old = name === "clickhouse" && state.window ? ` The events shown are as of ${clock(state.window.end_ms)}.` : "";
  const kept = name === "kafka" && state.spool?.records ? ` There are ${count(state.spool.records)} now.` : "";
  return (CONSEQUENCES[name] ?? "") + old + kept;
}
