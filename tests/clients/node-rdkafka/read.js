const { KafkaConsumer } = require("node-rdkafka");
const { SchemaRegistry } = require("@kafkajs/confluent-schema-registry");

const registry = new SchemaRegistry({ host: process.env.REGISTRY ?? "http://127.0.0.1:8083/registry" });
const consumer = new KafkaConsumer(
  { "metadata.broker.list": process.env.KAFKA ?? "127.0.0.1:9092", "group.id": "my-rdkafka-consumer" },
  { "auto.offset.reset": "earliest" },
);

consumer.on("ready", () => {
  consumer.subscribe(["tapcart.events"]);
  consumer.consume();
});
consumer.on("data", async (message) => {
  if (message.value?.[0] === 0) console.log(JSON.stringify(await registry.decode(message.value)));
});
consumer.connect();
