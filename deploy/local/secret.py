"""Settings of the stack -> the secret that stands in the webhook URL."""

from deploy.local.settings import Settings


def secret(settings: Settings) -> str:
    """Return the first of INGEST_TOKENS, else the one that `make run` keeps; empty: there is none yet."""
    tokens = settings.ingest_tokens.get_secret_value()
    if not tokens:
        try:
            tokens = (settings.data_dir / "token").read_text()
        except OSError:
            return ""
    return tokens.split(",")[0].split(":")[0].strip()
