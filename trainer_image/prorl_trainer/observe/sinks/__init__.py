"""Trackers of spec.tracking, each behind forwarder.Sink. Each module is the only importer of its
library, which is an optional extra of the same name."""
