"""The erasure harness (`make faults-erasure`): its posts hold what they say, and its search finds it."""

from itertools import pairwise
from pathlib import Path

from tests.faults.erasing.people import CLICKSTREAM, EVENTS, QUARANTINE, Posts
from tests.support.plain_files import holding


def test_people_are_everywhere_and_never_in_posts_of_others() -> None:
    """Each post about somebody holds an id, as text or as JSON's escape; others' ids only look alike."""
    posts = Posts(3, 6)
    ids = [one for person in posts.people for one in person.ids]
    mine = [posts.of_people(1_795_000_000_000) for _ in range(400)]
    theirs = [posts.of_others(1_795_000_000_000) for _ in range(400)]

    def holds(sent: bytes) -> bool:
        return any(one.encode() in sent or one[1:].encode() in sent for one in ids)

    assert all(holds(post.body + post.headers) for post in mine)
    assert not any(holds(post.body + post.headers) for post in theirs)
    assert {post.view for post in mine} == {EVENTS, CLICKSTREAM, QUARANTINE}
    assert len({post.event_id for post in mine + theirs}) == 800


def test_the_same_seed_gives_the_same_posts() -> None:
    """Another seed gives others."""
    made = [[Posts(seed, 3).of_people(1).body] for seed in (1, 1, 2)]

    assert [one == other for one, other in pairwise(made)] == [True, False]


def test_a_search_finds_ids_in_hex_too(tmp_path: Path) -> None:
    """ClickHouse's own files may hold a text so."""
    (tmp_path / "a").write_bytes(b"x" + b"device-7".hex().encode())
    (tmp_path / "left-out").mkdir()
    (tmp_path / "left-out" / "b").write_bytes(b"device-7")

    assert [*holding(tmp_path, ["device-7"], [tmp_path / "left-out"])] == ["a: 6465766963652d37"]
