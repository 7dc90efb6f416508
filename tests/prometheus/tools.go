//go:build tools

// Package tools pins the Prometheus commands that scrape and check what is exported here.
package tools

import (
	_ "github.com/prometheus/prometheus/cmd/prometheus"
	_ "github.com/prometheus/prometheus/cmd/promtool"
)
