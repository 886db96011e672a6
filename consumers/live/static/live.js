// States from /events (server-sent events) -> the page; and recovery when none arrive.

import { showAudit } from "./audit.js";
import { showCharts } from "./charts.js";
import { byId, put } from "./dom.js";
import { showBalance, showFigures } from "./figures.js";
import { showHealth, showLag, showNotices } from "./health.js";
import { showNewest } from "./newest.js";
import { showQuarantine } from "./quarantine.js";
import { showShop } from "./shop.js";
import { clock } from "./text.js";

const STALE_MS_MIN = 5000;
const RETRY_MS = 5000;
const NO_ANSWER = "The live page's process does not answer.";

const connection = { source: null, state: null, heardAt: 0, triedAt: 0, reason: NO_ANSWER };

function show(state) {
  const empty = state.total?.count === 0 && !state.quarantine?.count && !state.newest.length;
  byId("empty").hidden = !empty;
  document.body.dataset.page = empty ? "empty" : state.window ? "full" : "waiting";
  put("version", state.version);
  showFigures(state);
  showCharts(state);
  showBalance(state);
  showShop(state);
  showNewest(state);
  showQuarantine(state);
  showLag(state);
  showHealth(state, true);
  showAudit(state);
  showNotices(state, null);
}

function connect() {
  connection.source?.close();
  connection.triedAt = performance.now();
  connection.source = new EventSource("events");
  connection.source.addEventListener("state", (message) => {
    connection.state = JSON.parse(message.data);
    connection.heardAt = performance.now();
    say("live", "Live");
    show(connection.state);
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
  if (now - connection.heardAt <= patience) return;
  if (now - connection.triedAt > RETRY_MS) connection.reason = await whyNot();
  if (performance.now() - connection.heardAt <= patience) return;
  const since = connection.state ? ` The numbers are as of ${clock(connection.state.now_ms)}.` : "";
  say("lost", "Disconnected");
  showNotices(null, { key: "connection", title: "Disconnected", text: `${connection.reason}${since} Reconnecting.` });
  if (connection.state) showHealth(connection.state, false);
}

// Reconnects and returns the server's reason, because an EventSource does not expose the status.
async function whyNot() {
  connect();
  try {
    const answer = await fetch("api/snapshot", { cache: "no-store", signal: AbortSignal.timeout(3000) });
    if (answer.status === 401) return "The token is no longer accepted: reload the page to enter the new one.";
    if (answer.ok) return "Too many pages are open, or a proxy delays the stream.";
  } catch { /* the answer below is right */ }
  return NO_ANSWER;
}

connect();
setInterval(watch, 1000);
