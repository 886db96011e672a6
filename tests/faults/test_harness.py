"""The faults harness: its expectations are correct, it detects a changed value, and a short run passes."""

import gzip
import os
import time
from itertools import islice
from pathlib import Path

import pytest
from starlette.datastructures import Headers

from ingest.http.receive import Accepted, Receiver
from schemas.catalog.catalog import Catalog
from schemas.catalog.table_names import table_name
from tests.faults.harness import plan, values
from tests.faults.harness.mutants import MUTANTS, mutate
from tests.faults.harness.posts import QUARANTINE, UNMODELLED, Post, Posts
from tests.faults.short_run import passed
from tests.support.stack import ROOT

# Another seed is another run: `TAPLINE_FAULTS_SEED=7 make test-all ARGS=tests/faults/test_harness.py`.
_SEED = os.environ.get("TAPLINE_FAULTS_SEED", "20")
_SECONDS = os.environ.get("TAPLINE_FAULTS_SECONDS", "25")


def test_the_same_seed_gives_the_same_run() -> None:
    """Posts, their order and the plan of faults are functions of the seed; another seed gives others."""
    one, same, other = Posts(1), Posts(1), Posts(2)
    steps = [list(islice(plan.steps(seed, 0, plan.single()), 50)) for seed in (1, 1, 2)]

    assert [one.post(n) for n in range(500)] == [same.post(n) for n in range(500)]
    assert one.block(3) == same.block(3) != other.block(3)
    assert steps[0] == steps[1] != steps[2]


def test_no_two_posts_are_alike() -> None:
    """Every number has its own body and identity, so a duplicate is a deliberate one."""
    posts = [Posts(3).post(number) for number in range(5000)]

    assert len({post.body for post in posts}) == len(posts)
    assert len({(post.view, post.app_id, post.event_id) for post in posts}) == len(posts)


def test_every_post_is_what_it_says() -> None:
    """Ingest's rules give each post the status and the view that the judge expects."""
    receiver, made = Receiver(Catalog.load()), Posts(4)
    posts = [made.post(number) for number in range(5000)]
    answers = [_answer(receiver, post) for post in posts]

    assert answers == [(200 if post.status == 401 else post.status, post.view) for post in posts]
    assert {status for status, _ in answers} == {200, 400, 422}
    assert {QUARANTINE, UNMODELLED, "clickstream", "app_opened"} < {view for _, view in answers}


def test_sound_posts_are_all_answered_200() -> None:
    """Sent whole and once, so that a sender that never retries expects nothing else."""
    receiver, made = Receiver(Catalog.load()), Posts(4, sound=True)
    posts = [made.post(number) for number in range(5000)]

    assert [_answer(receiver, post) for post in posts] == [(200, post.view) for post in posts]
    assert {post.how for post in posts} == {made.how(number) for number in range(5000)} == {"whole"}
    assert sorted(made.block(0)) == [(number, False) for number in range(256)]


def _answer(receiver: Receiver, post: Post) -> tuple[int, str]:
    headers = Headers(
        raw=[(n, v) for n, _, v in (line.partition(b": ") for line in post.headers.splitlines())]
    )
    body = post.body
    if "content-encoding" in headers:
        try:
            body = gzip.decompress(body)
        except EOFError:
            return 400, QUARANTINE
    received = receiver.receive(body, headers, time.time_ns() // 1_000_000)
    if isinstance(received, Accepted):
        return 200, table_name(received.event_type)
    return received.status, QUARANTINE


@pytest.mark.parametrize(
    ("sent", "row", "paths"),
    [
        ({"a": "x"}, {"a": "x"}, []),
        ({"a": "x"}, {"a": "y"}, ["a"]),
        ({"a": {"b": 5}}, {"a.b": "5"}, []),
        ({"a": {"b": 5}}, {"a.b": "6"}, ["a.b"]),
        ({"a": None}, {"a": ""}, []),
        ({"a": None}, {"a": "x"}, ["a"]),
        ({"a": ["x", 1]}, {"a": ["x", "1"]}, []),
        ({"a": ["x", "y"]}, {"a": ["y", "x"]}, ["a"]),
        ({"a": {"b.c": 7}}, {"extra": '{"a.b%2Ec": 7}'}, []),
        ({"a": {"b": 7}}, {"extra": ""}, ["a.b"]),
        ({"event_properties": {"n": {"m": 1}}}, {"raw": '{"n": {"m": 1}}'}, []),
        ({"event_properties": {"n": {"m": 1}}}, {"raw": '{"n": {"m": 2}}'}, ["event_properties.n.m"]),
    ],
)
def test_a_changed_value_is_told(sent: dict[str, object], row: dict[str, object], paths: list[str]) -> None:
    """A value is in its column, in `extra`, or in an unmodelled event's JSON; otherwise it is reported."""
    assert values.missing(sent, {"extra": ""} | row) == paths


@pytest.mark.parametrize("name", MUTANTS)
def test_every_mutant_can_be_made(name: str, tmp_path: Path) -> None:
    """The texts that mutants replace occur in the code, once each."""
    mutant = MUTANTS[name]
    copy = tmp_path / "module.py"
    copy.write_text((ROOT / mutant.path).read_text())
    mutate(copy, mutant.changes)

    compile(copy.read_text(), mutant.path, "exec")
    assert copy.read_text() != (ROOT / mutant.path).read_text()


def test_a_text_that_is_gone_is_an_error(tmp_path: Path) -> None:
    """A mutant whose text has changed fails loudly, and does not pass as the original code."""
    (tmp_path / "module.py").write_text("a = 1\n")

    with pytest.raises(LookupError):
        mutate(tmp_path / "module.py", {"b = 1": "b = 2"})


@pytest.mark.slow
@pytest.mark.timeout(420)
def test_nothing_is_lost_under_faults(tmp_path: Path) -> None:
    """A short run of the harness: everything is broken at random, and every promise is kept."""
    passed(tmp_path / "run", "--seed", _SEED, "--seconds", _SECONDS, "--rate", "300")
