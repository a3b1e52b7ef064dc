"""Speed, as ratios measured within one run. These are not tests: nothing here passes or fails."""
