"""Files that people write → records: probe sets, triggers, thresholds. Strict, with line numbers."""
