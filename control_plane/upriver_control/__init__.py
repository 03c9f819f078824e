"""Upriver's control plane: registry, rollouts, fleet. It enters with the services that it serves."""
