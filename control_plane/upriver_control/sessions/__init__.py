"""The agents that are connected to this process, and what is known of all others."""
