"""What is asked of a candidate: one function a rule. No policy numbers; those stand in thresholds.yaml."""
