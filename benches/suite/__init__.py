"""The benchmark suite: brokers, scenarios, statistics, report."""
