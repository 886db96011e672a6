"""A process from its start to its exit status: why it stops, and its messages."""

import signal
import subprocess
import sys
import textwrap
import time

import pytest

from tests.support.process import Child
from tests.support.stack import ROOT
from tests.support.waiting import patience

_BEGIN = """
import asyncio, sys, threading, time
from runtime.environment import SettingsError
from runtime.process import main

began = threading.Event()

async def for_ever():
    await asyncio.Event().wait()

async def keep(process, **parts):
    stopping = asyncio.Event()
    async def serving():
        print("serving", flush=True)
        began.set()
        await stopping.wait()
        await asyncio.sleep(0.1)
        print("stopped in order", flush=True)
    await process.keep(serving(), stopping.set, parts, 1)
"""


def started(code: str) -> Child[str]:
    """Start a process whose `serve` is this code."""
    text = (
        f"{_BEGIN}\ndef serve(process):\n{textwrap.indent(textwrap.dedent(code), '    ')}\nmain('it', serve)"
    )
    return Child(
        [sys.executable, "-c", text], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(code: str) -> tuple[int, str, str]:
    """Return the exit status and what was said."""
    process = started(code)
    said, complained = process.communicate(timeout=30 * patience())
    return process.returncode, said, complained


def test_a_wrong_setting_is_one_sentence() -> None:
    """No traceback, because the operator must fix it."""
    assert ended('raise SettingsError("PORT: 80 is taken")') == (
        2,
        "",
        "it cannot start: PORT: 80 is taken\n",
    )


def test_an_unexpected_exception_is_logged() -> None:
    """With its traceback, as JSON."""
    status, _, complained = ended('raise KeyError("nobody expects this")')

    assert status == 1
    assert '"event": "process_failed"' in complained
    assert "KeyError: 'nobody expects this'" in complained


@pytest.mark.parametrize(
    ("part", "error"),
    [
        ("failing()", "ZeroDivisionError"),
        ("asyncio.sleep(0.05)", "PartEndedError"),
    ],
)
def test_a_part_that_fails_or_ends_stops_the_process_in_order(part: str, error: str) -> None:
    """Its siblings stop in order; the exit status reports the failure."""
    status, said, complained = ended(
        f"""
        async def failing():
            await asyncio.sleep(0.05)
            1 / 0
        async def run():
            await keep(process, bad={part}, good=for_ever())
        asyncio.run(run())
        """
    )

    assert (status, said) == (1, "serving\nstopped in order\n")
    assert '"event": "part_failed"' in complained
    assert '"part": "bad"' in complained
    assert error in complained
    assert '"part": "good"' not in complained


def test_a_thread_that_fails_stops_the_process_in_order() -> None:
    """In any thread."""
    status, said, complained = ended(
        """
        threading.Thread(target=lambda: began.wait() and 1 / 0, name="reader").start()
        asyncio.run(keep(process))
        """
    )

    assert (status, said) == (1, "serving\nstopped in order\n")
    assert '"part": "reader"' in complained
    assert "ZeroDivisionError" in complained


def test_work_that_ends_is_no_failure_and_work_that_fails_is_one() -> None:
    """Such as a replay started by the page."""
    code = """
        async def work():
            if {fails}:
                raise KeyError
        async def begin():
            process.start("replay", work())
            await asyncio.sleep(0.1)
            process.start("last", stop())
            await for_ever()
        async def stop():
            import os, signal
            os.kill(os.getpid(), signal.SIGTERM)
        asyncio.run(keep(process, part=begin()))
        """

    assert ended(code.format(fails=False))[0] == 0
    assert ended(code.format(fails=True))[0] == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_process_in_order(number: signal.Signals) -> None:
    """A signal is not a failure."""
    with started("asyncio.run(keep(process, part=for_ever()))") as process:
        assert process.stdout
        assert process.stdout.readline() == "serving\n"
        process.send_signal(number)

        assert process.stdout.read() == "stopped in order\n"
    assert process.returncode == 0


def test_threads_are_stopped_by_the_same_signals_and_failures() -> None:
    """In a process without an event loop."""
    code = """
        stopping = threading.Event()
        process.stops_by(stopping.set, 1)
        if {fails}:
            threading.Thread(target=lambda: 1 / 0).start()
        print("running", flush=True)
        stopping.wait(20)
        print("stopped in order", flush=True)
        """
    with started(code.format(fails=False)) as process:
        assert process.stdout
        process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "stopped in order\n"

    assert process.returncode == 0
    assert ended(code.format(fails=True))[:2] == (1, "running\nstopped in order\n")


def test_what_hangs_does_not_keep_a_failed_process() -> None:
    """Otherwise nothing would restart it."""
    began = time.monotonic()
    status, _, complained = ended(
        """
        import runtime.process
        runtime.process._HANG_SECONDS = 0.2
        async def failing():
            1 / 0
        async def hanging():
            await asyncio.to_thread(time.sleep, 60)
        asyncio.run(keep(process, bad=failing(), hanging=hanging()))
        """
    )

    assert status == 1
    assert '"event": "stop_hangs"' in complained
    assert time.monotonic() - began < 20 * patience()
