"""deploy/cluster by Docker Compose, broken on purpose: `make test-cluster`."""
