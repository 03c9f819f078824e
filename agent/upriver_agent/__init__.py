"""The Upriver agent: serves models in one place and escalates what it is unsure of."""
