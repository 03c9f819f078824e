"""How questions go up: channels to upstream agents."""
