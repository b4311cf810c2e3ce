"""What the end-to-end tests stand on: the daemon, its upstreams and its clients."""
