"""The heavy reliability tiers behind scripts/soak.sh."""
