// @clickhouse/client, with its defaults: each check is one JSON line.
const { randomUUID } = require("node:crypto");
const { setTimeout: sleep } = require("node:timers/promises");
const { ClickHouseLogLevel, createClient } = require("@clickhouse/client");

const url = process.env.CLICKHOUSE ?? "http://127.0.0.1:8123";
const quiet = { url, log: { level: ClickHouseLogLevel.OFF } }; // errors are what some checks want
const client = createClient(quiet);
const LONG = "it's ünïcode\\ \n\t".repeat(1250);
const ENDLESS = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1";

async function rows(query, query_params, more = {}) {
  const result = await client.query({ query, query_params, format: "JSONEachRow", ...more });
  return result.json();
}

async function running() {
  const query = "SELECT count() AS n FROM system.processes WHERE query LIKE 'SELECT count() FROM numbers(1000000000000)%'";
  return Number((await rows(query))[0].n);
}

async function until(condition, seconds = 10) {
  for (const end = Date.now() + seconds * 1000; Date.now() < end; await sleep(100)) if (await condition()) return true;
  return false;
}

const checks = {
  events: async () => Number((await rows("SELECT count() AS n FROM tapcart.events"))[0].n),

  types: async () => {
    const found = await rows("SELECT event_type, count() AS n FROM tapcart.events GROUP BY event_type");
    return Object.fromEntries(found.map((row) => [row.event_type, Number(row.n)]));
  },

  parameters: async () => {
    const query = "SELECT {text:String} AS a, {number:Int64} AS b, {list:Array(String)} AS c";
    const [row] = await rows(query, { text: LONG.slice(0, 16), number: -42, list: ["a", "b'"] });
    return [row.a, Number(row.b), row.c];
  },

  long_parameter: async () => Number((await rows("SELECT length({text:String}) AS n", { text: LONG }))[0].n),

  settings: async () =>
    Number((await rows("SELECT getSetting('max_block_size') AS n", {}, { clickhouse_settings: { max_block_size: "1234" } }))[0].n),

  insert: async () => {
    await client.command({ query: "CREATE DATABASE IF NOT EXISTS clients" });
    await client.command({
      query: "CREATE OR REPLACE TABLE clients.node (id UInt64, name String) ENGINE = MergeTree ORDER BY id",
    });
    const values = Array.from({ length: 10_000 }, (_, id) => ({ id, name: `name ${id}` }));
    await client.insert({ table: "clients.node", values, format: "JSONEachRow" });
    const [row] = await rows("SELECT count() AS a, sum(id) AS b, uniqExact(name) AS c FROM clients.node");
    return [row.a, row.b, row.c].map(Number);
  },

  large: async () => {
    const query = "SELECT number, toString(number) FROM numbers(300000)";
    const result = await client.query({ query, format: "JSONCompactEachRow" });
    let sum = 0;
    for await (const part of result.stream()) for (const row of part) sum += Number(row.json()[1]);
    return sum;
  },

  error: async () => rows("SELECT * FROM tapcart.nothing").then(() => "none", (error) => error.code),

  late_error: async () => {
    const query = "SELECT throwIf(number = 3000000) FROM numbers(4000000)";
    let count = 0;
    try {
      const result = await client.query({ query, format: "JSONCompactEachRow" });
      for await (const part of result.stream()) count += part.length;
    } catch {
      return "raised";
    }
    return `${count} rows and no error`;
  },

  cancel: async () => {
    const [query_id, abort] = [randomUUID(), new AbortController()];
    const answer = client.query({ query: ENDLESS, query_id, abort_signal: abort.signal }).catch(() => "aborted");
    if (!(await until(running))) throw new Error("the query is not in system.processes");
    abort.abort();
    await answer;
    await client.command({ query: "KILL QUERY WHERE query_id = {id:String}", query_params: { id: query_id } });
    await until(async () => !(await running()));
    return running();
  },

  session: async () => {
    const session = createClient({ ...quiet, session_id: randomUUID() });
    try {
      await session.command({ query: "CREATE TEMPORARY TABLE mine (n UInt8)" });
      await session.insert({ table: "mine", values: [{ n: 1 }, { n: 2 }, { n: 3 }], format: "JSONEachRow" });
      const result = await session.query({ query: "SELECT n FROM mine ORDER BY n", format: "JSONEachRow" });
      return (await result.json()).map((row) => row.n);
    } finally {
      await session.close();
    }
  },
};

async function main() {
  for (const [check, run] of Object.entries(checks)) {
    const line = await run().then((got) => ({ check, got }), (error) => ({ check, error: String(error) }));
    console.log(JSON.stringify(line));
  }
  await client.close();
}

main();
