"""A `LabelTable` to an annotation file: one module a format, the counterparts of `readers`."""
