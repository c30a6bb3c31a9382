"""What is wrong with a network before anything is explained, and which methods can be trusted on it.

`examine.py` is the whole examination; a check of the network is a function in `network.py`, `answers.py`,
`preparing.py`, `learnt.py` or `slopes.py` that gives a finding; what is measured of methods is in `trusting.py`, and
what follows from it in `verdict.py`.
"""
