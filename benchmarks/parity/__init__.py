"""Methods of Sightline beside those of other packages: one file a package, one entry a comparison."""
