"""Whether a policy's certificate still holds, judged from audits. Pure."""
