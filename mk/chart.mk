# Not part of `make test`: checkov has 96 packages of its own.
CHECKOV := env -u VIRTUAL_ENV $(UV) tool run --python $(PYTHON) checkov==3.3.30
CHART := charts/prorl-operator

.PHONY: checkov
checkov: cluster-deps ## the rendered chart, hardened as in its ci/hardened.yaml, through checkov
	@mkdir -p dist/checkov
	@$$(PRORL_CACHE=$(CACHE) tests/cluster/build.sh --print)/helm template prorl $(CHART) \
	  --namespace prorl-system --kube-version 1.34.0 -f $(CHART)/ci/hardened.yaml > dist/checkov/chart.yaml
	@$(CHECKOV) --file dist/checkov/chart.yaml --framework kubernetes --compact --quiet --skip-download
