"""The commands of `tapline`: a name -> the module that it runs, in the order in which `--help` lists them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Command:
    """One command."""

    name: str
    module: str  # run as `python -m MODULE`
    text: str  # one line for `--help`
    is_client: bool = False  # talks to a running stack, whose addresses it gets
    has_options: bool = True  # whether the module reads options, `--help` too


COMMANDS = (
    Command("run", "deploy.local", "run the whole pipeline on this machine, until Ctrl-C"),
    Command("demo", "deploy.demo", "send sample events and query them with SQL"),
    Command("restart", "deploy.local.restart", "restart a process of the running stack, refusing no post"),
    Command("status", "deploy.status", "show the state of the stack on one screen", has_options=False),
    Command("backup", "deploy.backup", "back the running stack up, into DATA_DIR/backups"),
    Command("restore", "deploy.backup.restore", "restore a backup into an empty data folder"),
    Command("move-out", "deploy.move_out", "copy the stack's ClickHouse to an outside server, verified"),
    Command("serve", "deploy.edge", "serve the webhook by HTTPS, with a certificate of its own"),
    Command("url", "deploy.url", "print the webhook URL and a mail to Tapcart"),
    Command("doctor", "deploy.doctor", "test a public URL as Tapcart uses it, and suggest fixes"),
    Command("tail", "consumers.tail", "show events as they arrive", is_client=True),
    Command("schemas", "schemas", "list, propose and release schemas", is_client=True),
    Command("reconcile", "consumers.reconcile", "prove that every Kafka offset has its row", is_client=True),
    Command("replay", "consumers.replay", "replay quarantined events", is_client=True),
    Command("export", "consumers.export", "export everything held about one person", is_client=True),
    Command("archive", "consumers.archive", "write days of events as Parquet to a bucket", is_client=True),
    Command(
        "retention", "consumers.retention", "show what topics and tables hold, and until when", is_client=True
    ),
    Command(
        "erase", "consumers.erase", "erase people, in ClickHouse and for every later load", is_client=True
    ),
    Command("report", "deploy.report", "write a merchant's week as one HTML page with plots"),
    Command("spool", "ingest.spool", "list the files that ingest keeps on disk", is_client=True),
    Command("tokens", "ingest.tokens", "rotate the tokens of the webhook's URL", is_client=True),
    Command("secure", "deploy.security", "make certificates, and users of Kafka and ClickHouse"),
    Command(
        "prometheus", "deploy.prometheus", "watch the stack with Prometheus, until Ctrl-C", has_options=False
    ),
    Command("ingest", "ingest", "a process: from HTTP to Kafka", has_options=False),
    Command("warehouse", "consumers.warehouse", "a process: from Kafka to ClickHouse", has_options=False),
    Command("live", "consumers.live", "a process: the live page", has_options=False),
)
