"""Pictures and the HTML report, from a score table and a log."""
