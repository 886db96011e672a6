// clickhouse-go over HTTP, as Grafana's data source uses it, with its defaults: each check is one JSON line.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
)

const endless = "SELECT count() FROM numbers(1000000000000) WHERE sipHash64(number) = 1"

var (
	ctx     = context.Background()
	client  = open(nil)
	long    = strings.Repeat("it's ünïcode\\ \n\t", 1250)
	timeout = 10 * time.Second
)

func main() {
	report("events", func() (any, error) { return one[uint64](ctx, "SELECT count() FROM tapcart.events") })
	report("types", types)
	report("parameters", parameters)
	report("long_parameter", func() (any, error) {
		escaped := strings.NewReplacer("\\", "\\\\", "\n", "\\n", "\t", "\\t").Replace(long) // left to the caller
		return one[uint64](clickhouse.Context(ctx, clickhouse.WithParameters(clickhouse.Parameters{"text": escaped})),
			"SELECT length({text:String})")
	})
	report("settings", func() (any, error) {
		return one[uint64](clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"max_block_size": 1234})),
			"SELECT toUInt64(getSetting('max_block_size'))")
	})
	report("insert", insert)
	report("large", large)
	report("error", func() (any, error) {
		var exception *clickhouse.Exception
		_, err := one[uint64](ctx, "SELECT count() FROM tapcart.nothing")
		if errors.As(err, &exception) {
			return fmt.Sprint(exception.Code), nil
		}
		return fmt.Sprint(err), nil
	})
	report("late_error", lateError)
	report("cancel", cancel)
	report("session", session)
}

func open(settings clickhouse.Settings) driver.Conn {
	address, err := url.Parse(env("CLICKHOUSE", "http://127.0.0.1:8123"))
	check(err)
	client, err := clickhouse.Open(&clickhouse.Options{
		Protocol: clickhouse.HTTP, Addr: []string{address.Host}, Settings: settings,
	})
	check(err)
	return client
}

func types() (any, error) {
	found := map[string]uint64{}
	rows, err := client.Query(ctx, "SELECT event_type, count() FROM tapcart.events GROUP BY event_type")
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		var name string
		var count uint64
		if err := rows.Scan(&name, &count); err != nil {
			return nil, err
		}
		found[name] = count
	}
	return found, rows.Err()
}

func parameters() (any, error) {
	var text string
	var number int64
	var list []string
	row := client.QueryRow(ctx, "SELECT ?, toInt64(?), ?", long[:18], -42, []string{"a", "b'"})
	err := row.Scan(&text, &number, &list)
	return []any{text, number, list}, err
}

func insert() (any, error) {
	if err := client.Exec(ctx, "CREATE DATABASE IF NOT EXISTS clients"); err != nil {
		return nil, err
	}
	table := "CREATE OR REPLACE TABLE clients.go (id UInt64, name String) ENGINE = MergeTree ORDER BY id"
	if err := client.Exec(ctx, table); err != nil {
		return nil, err
	}
	batch, err := client.PrepareBatch(ctx, "INSERT INTO clients.go (id, name)")
	if err != nil {
		return nil, err
	}
	for number := range uint64(10_000) {
		if err := batch.Append(number, fmt.Sprintf("name %d", number)); err != nil {
			return nil, err
		}
	}
	if err := batch.Send(); err != nil {
		return nil, err
	}
	var count, sum, names uint64
	err = client.QueryRow(ctx, "SELECT count(), sum(id), uniqExact(name) FROM clients.go").Scan(&count, &sum, &names)
	return []uint64{count, sum, names}, err
}

func large() (any, error) {
	rows, err := client.Query(ctx, "SELECT number FROM numbers(300000)")
	if err != nil {
		return nil, err
	}
	var sum, number uint64
	for rows.Next() {
		if err := rows.Scan(&number); err != nil {
			return nil, err
		}
		sum += number
	}
	return sum, rows.Err()
}

func lateError() (any, error) {
	rows, err := client.Query(ctx, "SELECT throwIf(number = 3000000) FROM numbers(4000000)")
	count := 0
	for err == nil && rows.Next() {
		count++
	}
	if err != nil || rows.Err() != nil {
		return "raised", nil
	}
	return fmt.Sprintf("%d rows and no error", count), nil
}

func cancel() (any, error) {
	id := uuid.NewString()
	running := func() (uint64, error) {
		return one[uint64](ctx, "SELECT count() FROM system.processes"+
			" WHERE position(query, ?) > 0 AND position(query, 'system.processes') = 0", id)
	}
	until := func(count uint64) bool {
		for end := time.Now().Add(timeout); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
			if found, err := running(); err == nil && found == count {
				return true
			}
		}
		return false
	}
	under, stop := context.WithCancel(clickhouse.Context(ctx, clickhouse.WithQueryID(id)))
	defer stop()
	done := make(chan error)
	go func() {
		_, err := one[uint64](under, endless+" -- "+id)
		done <- err
	}()
	if !until(1) {
		return nil, errors.New("the query is not in system.processes")
	}
	stop()
	<-done
	until(0)
	return running()
}

func session() (any, error) {
	mine := open(clickhouse.Settings{"session_id": uuid.NewString()})
	if err := mine.Exec(ctx, "CREATE TEMPORARY TABLE mine (n UInt8)"); err != nil {
		return nil, err
	}
	if err := mine.Exec(ctx, "INSERT INTO mine VALUES (1), (2), (3)"); err != nil {
		return nil, err
	}
	var found []uint8
	err := mine.QueryRow(ctx, "SELECT groupArray(n) FROM (SELECT n FROM mine ORDER BY n)").Scan(&found)
	numbers := make([]int, len(found)) // bytes would be printed as text
	for index, number := range found {
		numbers[index] = int(number)
	}
	return numbers, err
}

func one[T any](ctx context.Context, query string, values ...any) (T, error) {
	var found T
	err := client.QueryRow(ctx, query, values...).Scan(&found)
	return found, err
}

func report(name string, run func() (any, error)) {
	line := map[string]any{"check": name}
	if got, err := run(); err != nil {
		line["error"] = err.Error()
	} else {
		line["got"] = got
	}
	check(json.NewEncoder(os.Stdout).Encode(line))
}

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
