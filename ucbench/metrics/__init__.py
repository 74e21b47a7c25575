"""What is measured: functions of arrays, and the contract of metrics that plugins add."""
