"""What agents count, followed over time: rates of the last minute, and of every minute."""
