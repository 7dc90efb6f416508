# What is in the images, from uv.lock. Every image holds its own as /opt/prorl/sbom.cdx.json.
EXTRAS_operator := operator
EXTRAS_verifier := verifier
EXTRAS_trainer-gpu := trainer verifier gpu
EXTRAS_trainer-cpu := trainer verifier cpu
SBOMS := $(addprefix sbom-,operator verifier trainer-gpu trainer-cpu)

.PHONY: sbom $(SBOMS)

sbom: $(SBOMS) ## CycloneDX documents of the four images into dist/sbom

$(SBOMS): sbom-%: | $(UV)
	@mkdir -p dist/sbom
	@env -u VIRTUAL_ENV $(UV) export --frozen --no-dev --quiet --format cyclonedx1.5 \
	  $(EXTRAS_$*:%=--extra %) --output-file dist/sbom/$*.cdx.json > /dev/null
	@echo dist/sbom/$*.cdx.json
