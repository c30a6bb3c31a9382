"""Where networks come from: a file each says what it takes, loads it, and tells its preparation and class names."""
