CLUSTER := env -u PYTHONPATH PYTHONPATH=tests PRORL_CACHE=$(CACHE) $(BIN)/python -m cluster

.PHONY: cluster-deps images cluster-up cluster-down cluster-status demo-cluster disruptions

cluster-deps: env ## install Debian packages, build the Kubernetes commands and Prometheus, take schemas (cached)
	@tests/cluster/packages.sh
	@PRORL_CACHE=$(CACHE) tests/cluster/build.sh
	@PRORL_CACHE=$(CACHE) tests/prometheus/build.sh
	@$(CLUSTER).schemas

images: env cluster-deps ## build the images of the local cluster (cached)
	@$(CLUSTER).images

cluster-up: images ## a local Kubernetes with one node and the operator (root)
	@$(CLUSTER) up

cluster-down: ## end it
	@$(CLUSTER) down

cluster-status: ## what runs in it
	@$(CLUSTER) status

demo-cluster: images ## the quickstart on the local Kubernetes (EXAMPLE=file)
	@$(CLUSTER) demo --file $(EXAMPLE)

disruptions: images ## take a job's pods in every way a node knows (root; half an hour; ARGS="-k preempted")
	@$(BIN)/pytest tests/disruptions $(ARGS)
