"""Data: annotation files and images to batches."""
