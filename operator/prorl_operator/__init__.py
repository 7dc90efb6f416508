"""The ProRLJob controller. Read reconcile.py first, then plan/plan.py."""
