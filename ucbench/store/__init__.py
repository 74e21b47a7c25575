"""The store: objects made once and kept under a key of all they depend on; files, keys, timings and clean-up."""
