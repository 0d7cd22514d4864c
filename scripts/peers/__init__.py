"""Runs the libraries people use today beside fisherdiag: same weights, data and threads (scripts/compare_peers.sh)."""
