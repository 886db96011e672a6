// States from /events (server-sent events) -> the page. Every value is put in as text, never as markup.
"use strict";

(() => {
  const SVG = "http://www.w3.org/2000/svg";
  const COUNT = new Intl.NumberFormat("en");
  const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 2 });
  const UNKNOWN = "not known yet";
  const NAMES = { ingest: "ingest", kafka: "Kafka", loader: "Loader", clickhouse: "ClickHouse" };
  const HEALTH = { up: "up", down: "down", unknown: "not known" };
  const CONSEQUENCES = {
    ingest: "Tapcart repeats what is not answered for 5 minutes, then drops it.",
    kafka: "ingest keeps new events on its disk meanwhile. Freshness and lag are not known.",
    loader: "Events wait in Kafka until it runs.",
    clickhouse: "Events wait in Kafka until it is back.",
  };
  const OLD_MS = 15000; // from this age on, a number tells its time
  const STALE_MS_MIN = 5000;
  const RETRY_MS = 5000;

  const byId = (id) => document.getElementById(id);
  const put = (id, text) => { byId(id).textContent = text; };

  // -- text ------------------------------------------------------------------------------------------------

  const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");

  function duration(ms) {
    const seconds = ms / 1000;
    if (seconds === 0) return "0 s";
    if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
    if (seconds < 120) return `${Math.round(seconds)} s`;
    if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
    if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
    return `${COUNT.format(Math.round(seconds / 86400))} days`;
  }

  const rate = (perSecond) => {
    if (perSecond === 0) return "0";
    return perSecond < 10 ? perSecond.toFixed(perSecond < 0.1 ? 2 : 1) : COUNT.format(Math.round(perSecond));
  };

  const compact = (n) => (n < 1000 ? COUNT.format(n) : COMPACT.format(n));

  // -- elements --------------------------------------------------------------------------------------------

  function element(name, className, text) {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  const drawn = (name) => document.createElementNS(SVG, name);

  // Keeps one child per item, in the items' order; `make` builds it once, `fill` brings it up to date.
  function list(parent, items, keyOf, make, fill) {
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

  // -- parts of the page -----------------------------------------------------------------------------------

  function showFigures(state) {
    const { total, window: recent, freshness, quarantine, now_ms: now } = state;
    put("total", total ? COUNT.format(total.count) : "–");
    put("total-note", total ? asOf(total.as_of_ms, now, "each counted once") : UNKNOWN);
    put("rate", recent ? rate(recent.per_second) : "–");
    put("rate-note", !recent ? UNKNOWN : isOld(recent.end_ms, now) ? `received in the minute before ${clock(recent.end_ms)}` : "received in the last minute");
    const newest = total?.newest_received_at_ms;
    put("last", newest == null ? "–" : `${duration(Math.max(0, now - newest))} ago`);
    put("last-note", newest != null ? "since ingest received it" : total ? "none yet" : UNKNOWN);
    showFreshness(freshness.age_ms);
    const known = recent != null && recent.delay_p50_ms != null;
    put("delay", known ? duration(recent.delay_p50_ms) : "–");
    put("delay-note", known ? `half of them, 99% within ${duration(recent.delay_p99_ms)}` : recent ? "no event in 15 minutes" : UNKNOWN);
    put("waiting", quarantine ? COUNT.format(quarantine.waiting) : "–");
    put("waiting-note", quarantine ? asOf(quarantine.as_of_ms, now, `waiting, of ${COUNT.format(quarantine.count)} in all`) : UNKNOWN);
    byId("waiting").classList.toggle("behind", Boolean(quarantine?.waiting));
  }

  const isOld = (ms, now) => now - ms > OLD_MS;
  const asOf = (ms, now, text) => (isOld(ms, now) ? `${text}; at ${clock(ms)}` : text);

  function showFreshness(age) {
    const notes = age == null ? "not known" : age === 0 ? "everything can be queried" : "age of the oldest that cannot be queried";
    put("freshness", age == null ? "–" : duration(age));
    put("freshness-note", notes);
    byId("freshness").classList.toggle("behind", age > 30000);
  }

  function showChart(recent, now) {
    if (!recent) return;
    const top = Math.max(1, ...recent.buckets);
    const width = 600 / recent.buckets.length;
    list(
      byId("chart"), recent.buckets.map((count, index) => ({ count, index })), (bar) => String(bar.index), () => drawn("rect"),
      (rect, bar) => {
        const height = bar.count === 0 ? 0 : Math.max(2, (bar.count / top) * 136);
        rect.setAttribute("x", String(bar.index * width + width * 0.1));
        rect.setAttribute("width", String(width * 0.8));
        rect.setAttribute("y", String(140 - height));
        rect.setAttribute("height", String(height));
        rect.setAttribute("class", bar.index === recent.buckets.length - 1 ? "filling" : "");
      },
    );
    const seconds = recent.bucket_ms / 1000;
    put("chart-lead", `${COUNT.format(recent.count)} since ${clock(recent.start_ms)}; each bar is ${seconds} seconds`);
    put("chart-max", recent.count ? COUNT.format(top) : "");
    put("chart-start", clock(recent.start_ms));
    put("chart-middle", clock(recent.start_ms + (recent.bucket_ms * recent.buckets.length) / 2));
    put("chart-end", isOld(recent.end_ms, now) ? clock(recent.end_ms) : "now");
    byId("chart").setAttribute("aria-label", `Events received per ${seconds} seconds in the last 15 minutes: ${recent.count} in all, at most ${recent.count ? top : 0} in one bar`);
  }

  function makeType() {
    const row = element("tr");
    const cell = element("td");
    const svg = drawn("svg");
    svg.setAttribute("viewBox", "0 0 100 24");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    svg.append(drawn("polyline"));
    cell.append(svg);
    const name = element("th");
    name.scope = "row";
    row.append(name, cell, element("td", "number"));
    return row;
  }

  function fillType(row, type) {
    const top = Math.max(1, ...type.buckets);
    const step = 100 / (type.buckets.length - 1);
    const points = type.buckets.map((count, index) => `${(index * step).toFixed(1)},${(22 - (count / top) * 20).toFixed(1)}`);
    row.className = type.count ? "" : "none";
    row.children[0].textContent = type.event_type;
    row.querySelector("polyline").setAttribute("points", points.join(" "));
    row.children[2].textContent = COUNT.format(type.count);
  }

  function showTypes(recent) {
    if (!recent) return;
    const rows = [...recent.types];
    if (recent.other) rows.push({ event_type: "other types", count: recent.other, buckets: recent.buckets.map(() => 0) });
    list(byId("types"), rows, (type) => type.event_type, makeType, fillType);
  }

  function makeComponent() {
    const item = element("li");
    item.append(element("span", "dot"), element("span", "name"), element("span", "state"), element("span", "detail"));
    item.firstChild.setAttribute("aria-hidden", "true");
    return item;
  }

  function showHealth(state) {
    list(byId("health"), state.components, (component) => component.name, makeComponent, (item, component) => {
      item.className = component.health;
      item.children[1].textContent = NAMES[component.name] ?? component.name;
      item.children[2].textContent = HEALTH[component.health] ?? component.health;
      item.children[3].textContent = `${component.detail}; since ${clock(component.since_ms)}`;
    });
  }

  function makeCells(topic) {
    const part = element("div");
    part.append(element("h3", "", topic.name), element("ul", "cells"));
    return part;
  }

  function fillCells(part, topic) {
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

  function showLag(lag, now) {
    if (!lag) return;
    const topics = new Map();
    lag.partitions.forEach((p) => topics.set(p.topic, [...(topics.get(p.topic) ?? []), p]));
    const text = lag.records === 1 ? "1 record" : `${COUNT.format(lag.records)} records`;
    put("lag-lead", asOf(lag.as_of_ms, now, `${text} not loaded yet, by partition`));
    const parts = [...topics].map(([name, partitions]) => ({ name, partitions }));
    list(byId("lag"), parts, (topic) => topic.name, makeCells, fillCells);
  }

  function showQuarantine(quarantine) {
    if (!quarantine) return;
    byId("quarantine").hidden = quarantine.count === 0;
    put("quarantine-lead", quarantine.count ? `${COUNT.format(quarantine.waiting)} waiting; make replay puts them back` : "Empty: every event found its place.");
    list(byId("reasons"), quarantine.reasons, (reason) => reason.reason, () => {
      const row = element("tr");
      const name = element("th");
      name.scope = "row";
      row.append(name, element("td", "number"), element("td", "number"));
      return row;
    }, (row, reason) => {
      row.children[0].textContent = reason.reason;
      row.children[1].textContent = COUNT.format(reason.waiting);
      row.children[2].textContent = COUNT.format(reason.count);
    });
  }

  // -- what is wrong, in words -----------------------------------------------------------------------------

  function showNotices(state) {
    const notices = connection.notice ? [connection.notice] : [];
    for (const component of state?.components ?? []) {
      if (component.health !== "down") continue;
      const title = `${NAMES[component.name] ?? component.name}: ${component.detail}, since ${clock(component.since_ms)}`;
      notices.push({ key: component.name, title, text: consequence(component.name, state) });
    }
    list(byId("notices"), notices, (notice) => notice.key, () => {
      const box = element("p", "notice down");
      box.append(element("strong"), element("span"));
      return box;
    }, (box, notice) => {
      box.children[0].textContent = notice.title;
      box.children[1].textContent = notice.text;
    });
  }

  function consequence(name, state) {
    const old = name === "clickhouse" && state.window ? ` The events shown are those of ${clock(state.window.end_ms)}.` : "";
    return (CONSEQUENCES[name] ?? "") + old;
  }

  function show(state) {
    const empty = state.total?.count === 0;
    byId("empty").hidden = !empty;
    const blank = empty || !state.window;
    byId("events").hidden = blank;
    byId("columns").classList.toggle("alone", blank);
    showFigures(state);
    showChart(state.window, state.now_ms);
    showTypes(state.window);
    showHealth(state);
    showLag(state.lag, state.now_ms);
    showQuarantine(state.quarantine);
    showNotices(state);
  }

  // -- connection ------------------------------------------------------------------------------------------

  const connection = { source: null, state: null, heardAt: 0, triedAt: 0, notice: null };

  function connect() {
    connection.source?.close();
    connection.triedAt = performance.now();
    connection.source = new EventSource("events");
    connection.source.addEventListener("state", (message) => {
      connection.state = JSON.parse(message.data);
      connection.heardAt = performance.now();
      connection.notice = null;
      show(connection.state);
      say("live", "Live");
    });
  }

  function say(value, text) {
    if (document.body.dataset.connection === value && byId("connection-text").textContent === text) return;
    document.body.dataset.connection = value;
    put("connection-text", text);
    document.title = value === "lost" ? "Tapline live (disconnected)" : "Tapline live";
  }

  async function watch() {
    const now = performance.now();
    const patience = Math.max(STALE_MS_MIN, 4 * (connection.state?.refresh_ms ?? 0));
    const quiet = now - Math.max(connection.heardAt, 0);
    if (quiet > patience) {
      const reason = now - connection.triedAt > RETRY_MS ? await whyNot() : connection.reason;
      connection.reason = reason ?? "The live page's process does not answer.";
      const since = connection.state ? `The numbers are those of ${clock(connection.state.now_ms)}. ` : "";
      connection.notice = { key: "connection", title: "Disconnected", text: `${connection.reason} ${since}Trying again.` };
      say("lost", "Disconnected");
      showNotices(null);
    }
  }

  // Connects again and returns what the server says, because an EventSource tells no status.
  async function whyNot() {
    connect();
    try {
      const answer = await fetch("api/snapshot", { cache: "no-store", signal: AbortSignal.timeout(3000) });
      if (answer.status === 401) return "The token is no longer accepted: reload the page to give the new one.";
      if (answer.ok) return "Too many pages are open, or something in between holds the stream back.";
    } catch { /* the reason below is right */ }
    return "The live page's process does not answer.";
  }

  connect();
  setInterval(watch, 1000);
})();
