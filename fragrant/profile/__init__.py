"""Cost of a model before it runs: parameters, multiply-adds, kept memory; and the table of all configs."""
