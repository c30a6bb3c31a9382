"""The command: one file a subcommand, words in and words out; what is done is done by `runs`.

`main.py` finds the subcommand, `parser.py` turns wrong words into one helpful line, `checks.py` refuses before
anything heavy begins, `network.py` holds the options that every command about a network has. torch is imported only
when needed.
"""
