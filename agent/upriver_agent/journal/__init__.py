"""What an agent must not forget: small SQLite files in its state folder."""

from upriver_agent.journal.writing import Journal

__all__ = ["Journal"]
