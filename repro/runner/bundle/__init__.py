"""A short slot on a machine without network: make a bundle, run it there, merge the records that come back."""
