cluster-deps: ## build the Kubernetes commands that the integration tests run (cached)
	@PRORL_CACHE=$(CACHE) tests/cluster/build.sh
