"""Coordinator, learners and rollout engines of one ProRLJob. Read loop.py first, then algo/."""
