"""Methods made of methods of several families."""
