"""Speed of Sightline beside other packages; see docs/speed.md."""
