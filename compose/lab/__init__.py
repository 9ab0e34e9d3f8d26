"""Real servers of others on loopback, for tests, benches and demos."""
