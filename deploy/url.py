"""The public host -> the webhook URL and a mail to Tapcart: `python -m deploy.url HOST`.

Exit status: 0 printed, 1 there is no token yet; all else: see `runtime.command`. Source: Tapcart's documents
of 2026: the Mobile Event Webhook is requested by mail; the Clickstream Webhook is entered in the dashboard.
"""

import argparse
import os
from collections.abc import Sequence
from urllib.parse import urlsplit

from deploy.local.errors import StackError, WrongSettingsError
from deploy.local.secret import secret
from deploy.local.settings import Settings
from runtime import command

_MAIL = """\
Mail to Tapcart (developertools@tapcart.co, or your contact there):

    Subject: Mobile Event Webhook (Insights Data Stream) for our app

    Hello,

    please send the Mobile Event Webhook of our app <name, app id>, all event types, to this address:

        {url}

    It accepts one JSON event per POST over HTTPS, and answers 200 once it is stored; please retry on 500.
    The address contains a secret; please keep it confidential. Please tell us when you start, and from
    which network addresses, if they are fixed.

Clickstream Webhook: enter the same address in Tapcart's dashboard under Settings, Webhooks."""


def main(given: Sequence[str]) -> int:
    """Print the URL and the mail; return the exit status. Raises: StackError."""
    parser = argparse.ArgumentParser(
        prog="tapline url", description="Print the webhook URL, and a mail to Tapcart."
    )
    parser.add_argument("host", nargs="?", default="", help="https://<host> (default: TAPLINE_PUBLIC_URL)")
    host = parser.parse_args(given).host.rstrip("/")
    settings = Settings.from_env(os.environ)
    token = secret(settings)
    public = (host if "://" in host or not host else f"https://{host}") or settings.public_url
    if public and (urlsplit(public).scheme != "https" or not urlsplit(public).hostname):
        raise WrongSettingsError(f"Tapcart posts to https://<host>; {public} is not such a URL")
    if not token:
        raise StackError("there is no token: `make run` creates one at its first start")
    url = f"{public or 'https://<your host>'}/tapcart_webhooks/{token}"
    print(f"{url}\n\n{_MAIL.format(url=url)}")
    if not public:
        print("\n<your host> is the HTTPS address in front of ingest: `make url ARGS=https://<your host>`.")
    print(f"\nTest it first: make doctor ARGS={public or 'https://<your host>'}")
    return 0


if __name__ == "__main__":
    command.main("url", main)
