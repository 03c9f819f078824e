"""Spans on their way out: in memory first, on the disk while nobody takes them, then sent with their own times.

Imported only where spans are exported. `encoding` is the one module that knows the OpenTelemetry SDK.
"""
