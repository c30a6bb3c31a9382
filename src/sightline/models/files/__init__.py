"""Networks in files of other libraries: what the files declare, how they are run, and whether they may be opened."""
