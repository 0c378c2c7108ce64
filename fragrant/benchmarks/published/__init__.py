"""The published order of operations, written anew, to measure and to test against."""
