"""The learner: policy, packing, one RL step on a rank, and the group of ranks."""
