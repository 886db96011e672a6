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
        value = kcat.stdout.read(max(0, int(length)))  # -1: no value
        if value and value[0] == 0:
            print(json.dumps(decode(value), default=str), flush=True)
