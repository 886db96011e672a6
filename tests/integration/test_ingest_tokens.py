"""Tokens of a running ingest: rotated, broken, guessed."""

import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import httpx

from tests.support.process import ROOT, SAMPLES, TOKEN, Ingest
from tests.support.stack import Stack
from tests.support.waiting import eventually

BODY = (SAMPLES / "AppOpened.json").read_bytes()


def started(services: Stack, folder: Path) -> Ingest:
    """Return an ingest with a tokens file."""
    path = folder / "tokens"
    path.write_text(f"{TOKEN}\n")
    ingest = Ingest(services.kafka, folder, {"INGEST_TOKENS": "", "INGEST_TOKENS_FILE": str(path)})
    return ingest.start()


def tokens(ingest: Ingest, *arguments: str) -> str:
    """Return the output of `python -m ingest.tokens`."""
    command = [sys.executable, "-m", "ingest.tokens", *arguments]
    env = {"INGEST_TOKENS_FILE": ingest.env["INGEST_TOKENS_FILE"], "PATH": os.environ["PATH"]}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=300, check=True)
    return done.stdout


class Sender(threading.Thread):
    """Posts continuously with its current token."""

    def __init__(self, ingest: Ingest) -> None:
        super().__init__()
        self.token = TOKEN
        self.answers: Counter[int] = Counter()
        self.slowest = 0.0
        self._url = f"http://127.0.0.1:{ingest.port}/tapcart_webhooks"
        self._stopped = threading.Event()

    def run(self) -> None:
        """Post until stopped."""
        with httpx.Client(timeout=20) as client:
            while not self._stopped.is_set():
                began = time.monotonic()
                self.answers[client.post(f"{self._url}/{self.token}", content=BODY).status_code] += 1
                self.slowest = max(self.slowest, time.monotonic() - began)

    def stop(self) -> None:
        """Stop and wait for the end."""
        self._stopped.set()
        self.join()


def test_a_token_is_rotated_under_load(services: Stack, tmp_path: Path) -> None:
    """Create a new one, switch the sender, revoke the old one: no post is refused; the old one is 401."""
    ingest = started(services, tmp_path)
    sender = Sender(ingest)
    sender.start()
    new = tokens(ingest, "new").strip()
    assert eventually(lambda: ingest.metric("tapline_ingest_tokens") == 2)
    sender.token = new
    old = tokens(ingest, "list").splitlines()[1].split()[0]
    tokens(ingest, "revoke", old)
    assert eventually(lambda: ingest.post(BODY).status_code == 401)
    before = sender.answers.total()
    assert eventually(lambda: sender.answers.total() > before + 20)
    sender.stop()

    assert set(sender.answers) == {200}
    assert ingest.stop() == 0
    assert new not in ingest.log.read_text()


def test_a_broken_file_of_tokens_costs_nothing(services: Stack, tmp_path: Path) -> None:
    """The previous tokens stay in use; the failure is counted, and logged once."""
    ingest = started(services, tmp_path)
    Path(ingest.env["INGEST_TOKENS_FILE"]).write_text("short\n")
    assert eventually(lambda: ingest.metric("tapline_ingest_tokens_refused_total") >= 2)

    assert ingest.post(BODY).status_code == 200
    lines = [json.loads(line) for line in ingest.log.read_text().splitlines() if line.startswith("{")]
    (told,) = [line for line in lines if line["event"] == "tokens_refused"]
    assert "16 characters" in told["problem"]
    assert ingest.stop() == 0


def test_a_guesser_is_slow_and_slows_nobody_else(services: Stack, tmp_path: Path) -> None:
    """From the same address, as behind one proxy: wrong tokens take a second, right ones do not wait."""
    ingest = started(services, tmp_path)
    url = f"http://127.0.0.1:{ingest.port}/tapcart_webhooks/guess-"
    sender = Sender(ingest)
    sender.start()
    began = time.monotonic()
    with httpx.Client(timeout=20) as client:
        answers = [client.post(f"{url}{number:016}", content=BODY) for number in range(31)]
    seconds = time.monotonic() - began
    slowest = sender.slowest
    sender.stop()

    assert {answer.status_code for answer in answers} == {401}
    assert seconds >= 1.0
    assert "close" in [answer.headers.get("connection") for answer in answers]
    assert set(sender.answers) == {200}
    assert slowest < seconds
    assert ingest.stop() == 0
