"""One part of each kind for mlic."""
