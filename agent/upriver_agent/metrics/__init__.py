"""What an agent tells Prometheus. Loaded only where `[metrics]` is configured."""
