"""What the suites of clients share: targets to test, buckets behind them, and tools found on the machine."""
