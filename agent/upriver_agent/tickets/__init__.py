"""Tickets: what was not answered for sure is kept, asked again when that may help, and answered later."""
