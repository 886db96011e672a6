"""ClickHouse's rows -> the data for alerts."""

from consumers.live import app_activity
from consumers.live.app_activity import AppActivity, DiskSpace

HOUR_MS, MINUTE_MS = 3_600_000, 60_000


def test_the_usual_number_is_the_least_of_seven_days() -> None:
    """A weekend without events makes silence usual."""
    rows = [("shop", (0, 9, 8, 7, 6, 5, 9, 9)), ("weekdays", (0, 9, 9, 0, 0, 9, 9, 9))]

    assert app_activity.apps(rows) == (AppActivity("shop", 0, 5), AppActivity("weekdays", 0, 0))


def test_the_hours_are_those_of_the_window() -> None:
    """Also across midnight."""
    assert app_activity.apps_parameters(15 * HOUR_MS + 45 * MINUTE_MS, 30, 50)["hours"] == [15]
    assert app_activity.apps_parameters(24 * HOUR_MS + 10 * MINUTE_MS, 30, 50)["hours"] == [0, 23]


def test_a_clickhouse_without_disks_has_no_room_to_watch() -> None:
    """Like one on object storage."""
    assert app_activity.disk([]) is None
    assert app_activity.disk([(1, 2)]) == DiskSpace(1, 2)
