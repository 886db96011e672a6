// Funnel and revenue of today, or of yesterday until the first event of today, for one app or all.

import { byId, cell, element, fill, list, put, rowHeader } from "./dom.js";
import { asOf, count, money, percent, plural } from "./text.js";

const STEPS = [
  ["opened", "Opened the app"],
  ["viewed", "Viewed a product"],
  ["added", "Added to cart"],
  ["checkout", "Began a checkout"],
  ["ordered", "Ordered"],
];
const ALL = "";

let latest = null;
byId("shop-app").addEventListener("change", () => showShop(latest));

export function showShop(state) {
  latest = state;
  const { shop, troubles, now_ms: now } = state;
  const all = [...(shop?.funnel ?? []), ...(shop?.revenue ?? [])];
  showApps([...new Set(all.map((row) => row.app_id))].sort());
  const app = byId("shop-app").value;
  // One day for both: today's funnel next to yesterday's revenue would mislead.
  const isOfToday = all.some((row) => row.day === shop.today);
  const zone = shop?.time_zone ?? "UTC";
  const when = isOfToday || !all.length ? `today (${zone})` : `yesterday (${zone}); no events yet today`;
  const chosen = (rows) => rows?.filter((row) => (app === ALL || row.app_id === app) && (row.day === shop.today) === isOfToday);
  showFunnel(chosen(shop?.funnel), missing(shop, shop?.funnel, "funnel_daily", troubles), when, shop, now);
  showRevenue(chosen(shop?.revenue), missing(shop, shop?.revenue, "revenue_daily", troubles), when);
}

function missing(shop, rows, view, troubles) {
  if (troubles.shop && !rows) return `ClickHouse ${troubles.shop}.`;
  if (!shop) return "Not known yet.";
  return rows ? "" : `There is no view tapcart.${view}.`;
}

function showApps(apps) {
  const select = byId("shop-app");
  select.parentElement.hidden = apps.length < 2 && select.value === ALL;
  const options = [{ value: ALL, text: "All apps" }, ...apps.map((app) => ({ value: app, text: app }))];
  list(select, options, (option) => option.value, () => element("option"), (made, option) => {
    made.value = option.value;
    fill(made, option.text);
  });
}

function showFunnel(rows, why, when, shop, now) {
  const some = rows?.some((row) => row.opened || row.viewed || row.ordered);
  byId("funnel").hidden = !some;
  put("funnel-lead", why || (some ? asOf(shop.as_of_ms, now, `devices that reached each step in this order, ${when}`) : `No devices ${when}.`));
  if (!some) return;
  const steps = STEPS.map(([key, name]) => ({ key, name, value: rows.reduce((sum, row) => sum + row[key], 0) }));
  const first = steps[0].value;
  list(byId("funnel-steps"), steps, (step) => step.key, makeStep, (row, step) => {
    row.querySelector(".fill").style.width = `${first ? (100 * step.value) / first : 0}%`;
    row.children[1].textContent = count(step.value);
    row.children[2].textContent = percent(step.value, first);
  });
}

function makeStep(step) {
  const row = element("tr");
  const name = rowHeader("");
  const track = element("span", "track");
  track.append(element("span", "fill"));
  name.append(element("span", "", step.name), track);
  row.append(name, cell("", "number"), cell("", "number share"));
  return row;
}

function showRevenue(rows, why, when) {
  const currencies = new Map();
  for (const row of rows ?? []) {
    const known = currencies.get(row.currency_code) ?? { code: row.currency_code, orders: 0, revenue: 0 };
    known.orders += row.orders;
    known.revenue += Number(row.revenue);
    currencies.set(row.currency_code, known);
  }
  const sums = [...currencies.values()].sort((one, other) => other.orders - one.orders || one.code.localeCompare(other.code));
  const orders = sums.reduce((sum, one) => sum + one.orders, 0);
  const unmatched = (rows ?? []).reduce((sum, row) => sum + row.unmatched, 0);
  const alone = unmatched ? `, ${count(unmatched)} reported only by the app or only by the shop` : "";
  byId("revenue").hidden = !sums.length;
  put("revenue-lead", why || (sums.length ? `${plural(orders, "order", "orders")} ${when}${alone}; currencies are not added together` : `No orders ${when}.`));
  list(byId("revenue-rows"), sums, (one) => one.code, (one) => {
    const row = element("tr");
    row.append(rowHeader(one.code || "unknown"), cell("", "number"), cell("", "number"), cell("", "number"));
    return row;
  }, (row, one) => {
    row.children[1].textContent = count(one.orders);
    row.children[2].textContent = money(one.revenue);
    row.children[3].textContent = money(one.orders ? one.revenue / one.orders : 0);
  });
}
