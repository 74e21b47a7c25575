"""Running cells: tasks, one cell from end to end, estimates, and executors."""
