"""kcat -> JSON lines: kcat prints each value behind its length."""

import json
import os
import subprocess

from decode import decode

KAFKA = os.environ.get("KAFKA", "127.0.0.1:9092")
COMMAND = ("kcat", "-C", "-q", "-u", "-b", KAFKA, "-t", "tapcart.events", "-o", "beginning", "-f", "%S\n%s")

with subprocess.Popen(COMMAND, stdout=subprocess.PIPE) as kcat:
    assert kcat.stdout
    while length := kcat.stdout.readline():
        print(json.dumps(decode(kcat.stdout.read(int(length))), default=str), flush=True)
