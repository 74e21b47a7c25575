"""What came of cells: records, the rows made of them, means over seeds, and whether a regime shows an effect at all."""
