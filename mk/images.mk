# What is in the images, from uv.lock. Every image holds its own as /opt/prorl/sbom.cdx.json.
EXTRAS_operator := operator
EXTRAS_verifier := verifier
EXTRAS_trainer-gpu := trainer verifier gpu
EXTRAS_trainer-cpu := trainer verifier cpu
SBOMS := $(addprefix sbom-,operator verifier trainer-gpu trainer-cpu)

DOCKERFILE_operator := operator/Dockerfile
DOCKERFILE_verifier := trainer_image/verifier.Dockerfile
DOCKERFILE_trainer-gpu := trainer_image/Dockerfile
DOCKERFILE_trainer-cpu := trainer_image/Dockerfile
IMAGES := $(addprefix image-,operator verifier trainer-gpu trainer-cpu)
BUILDER ?= $(notdir $(firstword $(shell command -v docker buildah)))
REGISTRY ?= ghcr.io/prorl
TAG ?= $(shell sed -n 's/^appVersion: "\(.*\)"/\1/p' charts/prorl-operator/Chart.yaml)
image = $(REGISTRY)/prorl-$(1:-gpu=):$(TAG)
BASE ?= python:3.11-slim-bookworm

.PHONY: sbom $(SBOMS) $(IMAGES)

image-operator: ## one for a registry (REGISTRY= TAG= BASE= BUILDER= BUILD_FLAGS=); also image-verifier, -trainer-gpu, -trainer-cpu
$(IMAGES): image-%:
	$(say) "$(call image,$*) by $(BUILDER)"
	@test -n "$(BUILDER)" || { echo "Neither docker nor buildah was found."; exit 1; }
	@$(BUILDER) build $(BUILD_FLAGS) --file $(DOCKERFILE_$*) --tag $(call image,$*) \
	  --build-arg BASE=$(BASE) --build-arg VERSION=$(TAG) \
	  --build-arg REVISION=$$(git rev-parse HEAD) $(and $(findstring trainer,$*),--build-arg BACKEND=$(*:trainer-%=%)) .

sbom: $(SBOMS) ## CycloneDX documents of the four images into dist/sbom

$(SBOMS): sbom-%: | $(UV)
	@mkdir -p dist/sbom
	@env -u VIRTUAL_ENV $(UV) export --frozen --no-dev --quiet --format cyclonedx1.5 \
	  $(EXTRAS_$*:%=--extra %) --output-file dist/sbom/$*.cdx.json > /dev/null
	@echo dist/sbom/$*.cdx.json
