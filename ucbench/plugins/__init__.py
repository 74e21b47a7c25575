"""Plugins: hooks, specs, parameters, component references, and loading that isolates broken plugins."""
