"""What a run is made of: training, testing, and everything that a checkpoint holds."""
