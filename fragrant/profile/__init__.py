"""What a model costs before it runs: parameters, multiply-adds, kept memory; and the table of all configs."""
