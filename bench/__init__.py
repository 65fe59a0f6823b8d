"""The program: command line, catalog, runs, training loop, datasets, generators and tracks."""
