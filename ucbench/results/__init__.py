"""Results of cells: records, tables of them, means over seeds, and whether a regime can show an effect at all."""
