"""The dashboards, as data; build.py makes Grafana's JSON of them."""
