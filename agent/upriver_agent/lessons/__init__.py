"""Lessons: what was asked above, with the answers that came back, kept so that it need not be asked again."""
