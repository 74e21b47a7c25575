"""The store: computed objects under keys of all their inputs; files, keys, timings and garbage collection."""
