"""Triggers: what a cue in or around a question may not change."""
