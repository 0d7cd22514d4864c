"""Reads Google Benchmark and fisherdiag JSON and turns it into a report."""
