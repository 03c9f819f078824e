"""What the control plane remembers: models, versions, aliases, rollouts, agents; in SQLite or PostgreSQL."""
