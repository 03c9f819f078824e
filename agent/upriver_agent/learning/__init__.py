"""How an agent's own heads are learnt: candidates from lessons, a holdout that they never saw, a gate, promotions."""
