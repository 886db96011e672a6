"""Host and Sec-Fetch-Site of a request -> whether a page of another site may have sent it. Pure.

A web site can point its own name at 127.0.0.1 (DNS rebinding), and any page can make a browser send a GET.
But the browser reports the name it used (Host) and the kind of page (Sec-Fetch-Site).
"""

from ipaddress import ip_address


def is_loopback(host: str) -> bool:
    """Return whether `host` is this machine's loopback; names other than localhost may point anywhere."""
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
    """Return the host in a Host header: `[::1]` for `[::1]:8081`, `localhost` for `localhost:8081`."""
    return header[: header.find("]") + 1] if header.startswith("[") else header.partition(":")[0]


def is_of_another_site(sec_fetch_site: str | None) -> bool:
    """Return whether a page of another origin sent the request; only browsers set the header."""
    return sec_fetch_site not in (None, "same-origin", "none")


def is_foreign(bound: str, host_header: str, sec_fetch_site: str | None) -> bool:
    """Return whether a page of another site may have sent a request to a port bound to `bound`.

    On loopback, only this machine's own names are valid. For other addresses the valid names are unknown.
    """
    is_other_name = is_loopback(bound) and not is_loopback(without_port(host_header))
    return is_other_name or is_of_another_site(sec_fetch_site)
