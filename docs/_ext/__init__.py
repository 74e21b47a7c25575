"""What the documentation generates while it is built: pages of methods, commands, hooks and published results."""
