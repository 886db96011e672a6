"""The name by which a browser knows a port -> whether a page of another site may be behind the request. Pure.

A web site can point its own name at 127.0.0.1 (DNS rebinding), and any page can have a browser send a GET;
the browser, however, says by which name it came (Host) and from what kind of page (Sec-Fetch-Site).
"""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Return whether `host` names this machine to itself; a name other than localhost may point anywhere."""
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def is_address(host: str) -> bool:
    """Return whether `host` is an IP address, which no site can point elsewhere."""
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def without_port(header: str) -> str:
    """Return the host of a Host header: `[::1]` of `[::1]:8081`, `localhost` of `localhost:8081`."""
    return header[: header.find("]") + 1] if header.startswith("[") else header.partition(":")[0]


def is_of_another_site(sec_fetch_site: str | None) -> bool:
    """Return whether a browser says that a page of another origin has it ask; other clients say nothing."""
    return sec_fetch_site not in (None, "same-origin", "none")


def is_foreign(bound: str, host_header: str, sec_fetch_site: str | None) -> bool:
    """Return whether a page of another site may be behind a request to a port on the address `bound`.

    On loopback only names of this machine are its own; which names another address has is not known.
    """
    is_other_name = is_loopback(bound) and not is_loopback(without_port(host_header))
    return is_other_name or is_of_another_site(sec_fetch_site)
