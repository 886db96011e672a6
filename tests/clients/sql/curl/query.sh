#!/usr/bin/env bash
# curl, as a person or a cron job uses it: each check is one JSON line.
set -uo pipefail
at=${CLICKHOUSE:-http://127.0.0.1:8123}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

ask() { curl -sS "$@"; }
sql() { ask "$at" --data-binary "$1"; }
report() { # name, value: JSON, or else text
  if [[ $2 =~ ^(-?[0-9]+|\[.*\])$ ]]; then printf '{"check": "%s", "got": %s}\n' "$1" "$2"; else
    printf '{"check": "%s", "error": "%s"}\n' "$1" "$(tr -d '"\\\n' <<<"$2" | head -c 500)"
  fi
}

report events "$(ask --get "$at" --data-urlencode 'query=SELECT count() FROM tapcart.events')"

# A value is escaped as in TSV.
for _ in $(seq 1250); do printf '%s' "it's ünïcode\\\\ \\n\\t"; done >"$folder/long"
report long_parameter "$(ask "$at" -F 'query=SELECT length({text:String})' -F "param_text=<$folder/long")"

sql 'CREATE DATABASE IF NOT EXISTS clients'
sql 'CREATE OR REPLACE TABLE clients.curl (id UInt64, name String) ENGINE = MergeTree ORDER BY id'
for number in $(seq 0 9999); do printf '%d\tname %d\n' "$number" "$number"; done | gzip >"$folder/rows.gz"
ask "$at/?query=INSERT+INTO+clients.curl+FORMAT+TSV" -H 'Content-Encoding: gzip' --data-binary "@$folder/rows.gz"
report insert "$(sql 'SELECT [count(), sum(id), uniqExact(name)] FROM clients.curl')"

report error "$(ask -o /dev/null -D - "$at" --data-binary 'SELECT * FROM tapcart.nothing' |
  tr -d '\r' | sed -n 's/^x-clickhouse-exception-code: //Ip')"

session="$at/?session_id=curl-$$"
ask "$session" --data-binary 'CREATE TEMPORARY TABLE mine (n UInt8)'
ask "$session" --data-binary 'INSERT INTO mine VALUES (1), (2), (3)'
report session "$(ask "$session" --data-binary 'SELECT groupArray(n) FROM (SELECT n FROM mine ORDER BY n)')"

id=curl-kill-$$
running() { sql "SELECT count() FROM system.processes WHERE position(query, concat('curl-', 'kill-$$')) > 0"; }
ask "$at/?query_id=$id" --data-binary \
  "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1 -- $id" >/dev/null &
for _ in $(seq 100); do [ "$(running)" = 0 ] || break; sleep 0.1; done
if [ "$(running)" = 0 ]; then
  report kill 'the query is not in system.processes'
  kill %1
else
  sql "KILL QUERY WHERE query_id = '$id'" >/dev/null
  wait
  report kill "$(running)"
fi
