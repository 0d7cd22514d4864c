"""The corpus of scripts/make_corpus.py."""
