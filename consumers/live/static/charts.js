// The window of 15 minutes -> two charts that share their time axis, and a table of the event types.
/* global uPlot */

import { byId, cell, drawn, element, list, put } from "./dom.js";
import { clock, count, duration, isOld, minute, rate, tick } from "./text.js";

const HEIGHTS = { rate: 220, delay: 150 };
const charts = {};
let chosen = null; // event type drawn over all events
let latest = null;

const color = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

export function showCharts(state) {
  const { window: recent, now_ms: now } = state;
  if (!recent) return;
  latest = state;
  if (chosen && !recent.types.some((type) => type.event_type === chosen)) chosen = null;
  showTypes(recent);
  if (!byId("rate-chart").clientWidth) return;
  charts.rate ??= makeRate();
  charts.delay ??= makeDelay();
  charts.rate.setData(rateData(recent));
  charts.delay.setData(delayData(recent));
  describe(recent, now);
}

// Canvases do not follow style sheets, so redraw the charts when the page's colours change.
function redraw() {
  Object.keys(charts).forEach((name) => {
    charts[name].destroy();
    delete charts[name];
  });
  if (latest) showCharts(latest);
}

matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
new ResizeObserver(() => {
  Object.entries(charts).forEach(([name, chart]) => {
    const width = byId(`${name}-chart`).clientWidth;
    if (width && width !== chart.width) chart.setSize({ width, height: HEIGHTS[name] });
  });
}).observe(document.body);

// -- data ------------------------------------------------------------------------------------------------

const starts = (recent) => recent.buckets.map((_, index) => (recent.start_ms + index * recent.bucket_ms) / 1000);

// The last bucket is still filling: its rate is over the part that has passed.
function perSecond(buckets, recent) {
  const passed = (recent.end_ms - recent.start_ms) / 1000 - (buckets.length - 1) * (recent.bucket_ms / 1000);
  return buckets.map((n, index) => {
    if (index < buckets.length - 1) return n / (recent.bucket_ms / 1000);
    return passed < 1 ? null : n / Math.min(passed, recent.bucket_ms / 1000);
  });
}

function rateData(recent) {
  const type = recent.types.find((one) => one.event_type === chosen);
  const over = type ? perSecond(type.buckets, recent) : recent.buckets.map(() => null);
  return [starts(recent), perSecond(recent.buckets, recent), over];
}

const seconds = (delays) => delays.map((ms) => (ms == null ? null : ms / 1000));
const delayData = (recent) => [starts(recent), seconds(recent.delays_p50_ms), seconds(recent.delays_p99_ms)];

// -- charts ----------------------------------------------------------------------------------------------

function axes(unit) {
  const font = `12px ${getComputedStyle(document.body).fontFamily}`;
  const common = { font, stroke: color("muted"), grid: { stroke: color("edge"), width: 1 } };
  return [
    { ...common, size: 26, space: 70, ticks: { show: false }, values: (_, at) => at.map((s) => minute(s * 1000)) },
    { ...common, size: 48, space: 34, ticks: { show: false }, values: (_, at) => at.map((n) => unit(n)) },
  ];
}

function chart(name, series, unit, floor) {
  const options = {
    width: byId(`${name}-chart`).clientWidth,
    height: HEIGHTS[name],
    padding: [8, 4, 0, 0],
    legend: { show: false },
    cursor: { sync: { key: "window" }, y: false, drag: { x: false, y: false } },
    scales: { y: { range: (_, _low, high) => [0, Math.max(floor, (high || 0) * 1.08)] } },
    axes: axes(unit),
    series: [{}, ...series],
    hooks: { setCursor: [(at) => point(name, at)] },
  };
  return new uPlot(options, [[], [], []], byId(`${name}-chart`));
}

function makeRate() {
  const bars = uPlot.paths.bars({ size: [0.8, 40], align: 1 });
  const bar = (name) => ({ paths: bars, fill: color(name), stroke: color(name), width: 0, points: { show: false } });
  return chart("rate", [bar("accent"), bar("second")], tick, 1);
}

function makeDelay() {
  const line = (name) => ({ stroke: color(name), width: 1.6, spanGaps: false, points: { size: 4 } });
  return chart("delay", [line("accent"), line("second")], (n) => (n < 60 ? `${tick(n)} s` : duration(n * 1000)), 0.5);
}

// Describes the values under the pointer.
function point(name, at) {
  const index = at.cursor.idx;
  if (index == null || at.cursor.left < 0) {
    put(`${name}-point`, "");
    return;
  }
  const [time, first, second] = at.data.map((values) => values[index]);
  const unit = name === "rate" ? (n) => `${rate(n)}/s` : (n) => duration(n * 1000);
  const shown = [first, second].map((value) => (value == null ? "–" : unit(value)));
  const words = name === "rate" && !chosen ? shown[0] : shown.join(" and ");
  put(`${name}-point`, `${clock(time * 1000)}: ${words}`);
}

function describe(recent, now) {
  const peak = Math.max(...recent.buckets) / (recent.bucket_ms / 1000);
  const end = isOld(recent.end_ms, now) ? clock(recent.end_ms) : "now";
  const text = `${count(recent.count)} events from ${clock(recent.start_ms)} to ${end}, at most ${rate(peak)} per second`;
  put("rate-lead", text);
  byId("rate-chart").setAttribute("aria-label", `Events per second: ${text}`);
  byId("rate-second").hidden = !chosen;
  put("rate-second-text", chosen ?? "");
  const known = recent.delay_p50_ms != null;
  const delays = known
    ? `half within ${duration(recent.delay_p50_ms)}, 99% within ${duration(recent.delay_p99_ms)}`
    : "no event in 15 minutes";
  put("delay-lead", `From acknowledgement until SQL finds the event: ${delays}`);
  byId("delay-chart").setAttribute("aria-label", `Delay until queryable: ${delays}`);
}

// -- table -----------------------------------------------------------------------------------------------

function makeType(type) {
  const row = element("tr");
  const name = element("th");
  name.scope = "row";
  const button = element("button", "link", type.event_type);
  button.type = "button";
  button.addEventListener("click", () => {
    chosen = chosen === type.event_type ? null : type.event_type;
    showCharts(latest);
  });
  name.append(button);
  const svg = drawn("svg");
  svg.setAttribute("viewBox", "0 0 100 20");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  svg.append(drawn("polyline"));
  const course = element("td", "course");
  course.append(svg);
  row.append(name, course, cell("", "number"));
  return row;
}

function fillType(row, type) {
  const step = 3; // buckets per point: a line this small shows no more detail
  const sums = [];
  for (let at = 0; at < type.buckets.length; at += step) {
    sums.push(type.buckets.slice(at, at + step).reduce((sum, n) => sum + n, 0));
  }
  const top = Math.max(1, ...sums);
  const points = sums.map((n, at) => `${((at * 100) / (sums.length - 1)).toFixed(1)},${(18.5 - (n / top) * 17).toFixed(1)}`);
  row.className = type.count ? "" : "none";
  row.querySelector("button").setAttribute("aria-pressed", String(chosen === type.event_type));
  row.querySelector("polyline").setAttribute("points", points.join(" "));
  row.lastChild.textContent = count(type.count);
}

function showTypes(recent) {
  const rows = recent.types;
  list(byId("types"), rows, (type) => type.event_type, makeType, fillType);
  byId("types-other").hidden = !recent.other;
  put("types-other", `and ${count(recent.other)} of other types`);
}
