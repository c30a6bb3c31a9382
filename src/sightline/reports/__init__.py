"""What a run leaves behind: the page, the manifest, the folder they stand in.

`compose.py` turns results into the plain values of `content.py`, which the templates beside it lay out; `report.py`
makes the page, `manifest.py` the record for programs, `folder.py` writes both whole or not at all. The page of a
comparison is `compared.py`, that of the benchmark `leaderboard.py`. Words and names that a page shows: `words.py`,
`names.py`.
"""
