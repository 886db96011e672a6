const { Kafka, logLevel } = require("kafkajs");
const { SchemaRegistry } = require("@kafkajs/confluent-schema-registry");

const kafka = new Kafka({ brokers: [process.env.KAFKA ?? "127.0.0.1:9092"], logLevel: logLevel.ERROR });
const registry = new SchemaRegistry({ host: process.env.REGISTRY ?? "http://127.0.0.1:8083/registry" });
const consumer = kafka.consumer({ groupId: "my-node-consumer" });

async function main() {
  await consumer.connect();
  await consumer.subscribe({ topic: "tapcart.events", fromBeginning: true });
  await consumer.run({
    eachMessage: async ({ message }) => {
      if (message.value?.[0] === 0) console.log(JSON.stringify(await registry.decode(message.value)));
    },
  });
}

main();
