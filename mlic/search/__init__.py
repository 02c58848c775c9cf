"""A search: many heads, losses and settings on the kept features of one frozen backbone, to find which are best."""
