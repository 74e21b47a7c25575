"""Plugins: the hooks, the specs they yield, parameters, references to components, and finding and isolating plugins."""
