"""Spans that agents send: what is kept of them, how they are looked for, and what a trace of them tells."""
