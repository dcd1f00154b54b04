"""A whole archive of a mailing list, reviewed: its threads, what becomes of each posting, the table that is kept, summaries."""
