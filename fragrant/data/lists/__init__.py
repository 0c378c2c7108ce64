"""List files of videos: rows as records, the forms of rows, the names of the classes."""
