import json
import os

from decode import decode
from kafka import KafkaConsumer

consumer = KafkaConsumer(
    "tapcart.events",
    bootstrap_servers=os.environ.get("KAFKA", "127.0.0.1:9092"),
    group_id="my-kafka-python-consumer",
    auto_offset_reset="earliest",
)
for message in consumer:
    if message.value and message.value[0] == 0:
        print(json.dumps(decode(message.value), default=str), flush=True)
