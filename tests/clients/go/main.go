package main

import (
	"context"
	"encoding/json"
	"log"
	"os"

	"github.com/hamba/avro/v2"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr"
)

func main() {
	ctx := context.Background()
	registry, err := sr.NewClient(sr.URLs(env("REGISTRY", "http://127.0.0.1:8083/registry")))
	check(err)
	kafka, err := kgo.NewClient(kgo.SeedBrokers(env("KAFKA", "127.0.0.1:9092")), kgo.ConsumerGroup("my-go-consumer"),
		kgo.ConsumeTopics("tapcart.events"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	check(err)
	avro.Register("array:string", []string{}) // else a nullable list becomes {"array": [...]}
	schemas, out := map[int]avro.Schema{}, json.NewEncoder(os.Stdout)
	for {
		fetches := kafka.PollFetches(ctx)
		check(fetches.Err())
		for _, record := range fetches.Records() {
			id, body, err := new(sr.ConfluentHeader).DecodeID(record.Value)
			if err != nil {
				continue // it does not start with byte 0
			}
			if schemas[id] == nil {
				schema, err := registry.SchemaByID(ctx, id)
				check(err)
				schemas[id] = avro.MustParse(schema.Schema)
			}
			var event map[string]any
			check(avro.Unmarshal(schemas[id], body, &event))
			check(out.Encode(event))
		}
	}
}

func env(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
