// The audit trail: the newest actions on people's data, schemas and tokens, one line each.

import { byId, element, fill, list, put } from "./dom.js";
import { moment, plural } from "./text.js";

const CLASSES = { done: "up", failed: "down" };
// What an action counts.
const COUNTED = { tokens: ["token", "tokens"], schemas: ["release", "releases"], replay: ["record", "records"], repair: ["record", "records"] };
const ROWS = ["row", "rows"];

export function showAudit({ audit, troubles }) {
  const none = "Nothing yet: exports, erasures, replays, and changes of schemas or tokens appear here.";
  const why = troubles.audit ? `ClickHouse ${troubles.audit}.` : "Not known yet.";
  put("audit-lead", audit ? (audit.length ? "the newest actions on people's data, schemas and tokens" : none) : why);
  list(byId("audit"), audit ?? [], (action) => action.audit_id, make, update);
}

function make() {
  const item = element("li");
  item.append(element("strong", "action"), element("span", "name"), element("span", "state"), element("span", "detail"));
  return item;
}

function update(item, { at_ms: at, action, state, actor, count: number, detail }) {
  item.className = CLASSES[state] ?? "";
  fill(item.children[0], action);
  fill(item.children[1], moment(at));
  fill(item.children[2], number == null ? state : `${state}: ${plural(number, ...(COUNTED[action] ?? ROWS))}`);
  fill(item.children[3], [detail, `by ${actor}`].filter(Boolean).join(", "));
}
