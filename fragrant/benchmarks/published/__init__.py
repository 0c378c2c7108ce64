"""The published order of operations, in our words, to measure and to test against."""
