"""Quality of maps on real photographs: every method of Sightline, other packages' own output, and two baselines."""
