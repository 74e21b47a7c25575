"""What is computed: axes, cells and their keys, the crossing of axes, suites."""
