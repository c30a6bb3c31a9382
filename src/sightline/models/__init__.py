"""What is explained, and how to look inside it.

`classifier.py` is a network with all that is needed to ask it; `catalogue.py` finds one by name, in `sources`, one
file each. `targets.py` says which score is explained, `heads.py` what scores mean, `layers.py` where a map can be
drawn. Only `taps.py` registers hooks, and `quiet.py` leaves every network as it was found. Files of other libraries
are read in `files`, Keras is translated in `from_keras`, servers are asked in `web`, relevance is propagated in
`relevance`. To add a source of networks: a file in `sources`, and its line in `catalogue.py`.
"""
