"""heareval's result files to metrics, intervals, tests and tables."""
