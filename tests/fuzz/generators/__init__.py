"""(random, place) -> one case, for each port and for the topic. Pure."""
