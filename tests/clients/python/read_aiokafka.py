import asyncio
import json
import os

from aiokafka import AIOKafkaConsumer
from decode import decode


async def main() -> None:
    consumer = AIOKafkaConsumer(
        "tapcart.events",
        bootstrap_servers=os.environ.get("KAFKA", "127.0.0.1:9092"),
        group_id="my-aiokafka-consumer",
        auto_offset_reset="earliest",
    )
    async with consumer:
        async for message in consumer:
            if message.value and message.value[0] == 0:
                print(json.dumps(decode(message.value), default=str), flush=True)


asyncio.run(main())
