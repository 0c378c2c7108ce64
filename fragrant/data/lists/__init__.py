"""What a list file says: its rows as records, the forms of rows, the names of the classes."""
