"""What a model is good at and where it errs: a page for people, the same numbers for machines."""
