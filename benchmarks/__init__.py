"""Speed, as ratios measured within one run (and `solvers`, of quality). These are not tests: nothing here passes or fails."""
