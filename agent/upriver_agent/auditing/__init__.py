"""Audits: what was answered here, held against the top's answer to the same question, after the caller has gone."""
