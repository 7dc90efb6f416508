# The verifier alone: no torch, no Ray, no vLLM. Build from the repository's root:
#   docker build -f trainer_image/verifier.Dockerfile .
# What is in it: /opt/prorl/sbom.cdx.json (CycloneDX, from uv.lock). It needs no writable root.
ARG BASE=python:3.11-slim-bookworm
FROM ${BASE} AS build
# pycosat, which reasoning-gym imports, has no wheel.
RUN apt-get update \
 && apt-get install -y --no-install-recommends gcc libc6-dev \
    $(test -f "$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))')/Python.h" \
      || echo python3-dev)
# First what others have made, in a layer that our own changes leave alone. Compiled, since nothing may
# be cached in a read-only container.
ENV UV_PROJECT_ENVIRONMENT=/opt/prorl UV_COMPILE_BYTECODE=1
COPY pyproject.toml uv.lock /src/
WORKDIR /src
RUN python3 -m venv /tmp/uv && /tmp/uv/bin/pip install --no-cache-dir 'uv==0.13.*' \
 && /tmp/uv/bin/uv sync --system-certs --no-cache --frozen --no-dev --extra verifier --no-install-project \
 && /tmp/uv/bin/uv export --frozen --no-dev --quiet --format cyclonedx1.5 --extra verifier \
    > /opt/prorl/sbom.cdx.json
COPY README.md LICENSE /src/
COPY crds /src/crds
COPY operator /src/operator
COPY trainer_image /src/trainer_image
RUN /tmp/uv/bin/uv sync --system-certs --no-cache --frozen --no-dev --no-editable --extra verifier \
 && rm -rf /opt/prorl/lib/python3*/site-packages/prorl_operator \
           /opt/prorl/lib/python3*/site-packages/prorl_cli \
           /opt/prorl/lib/python3*/site-packages/prorl_trainer \
           /opt/prorl/lib/python3*/site-packages/prorl_api

FROM ${BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="prorl-verifier" \
      org.opencontainers.image.description="Judges the completions of a ProRLJob" \
      org.opencontainers.image.source="https://github.com/prorl/prorl-operator" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/prorl /opt/prorl
ENV PATH=/opt/prorl/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 65532:65532
CMD ["python", "-m", "prorl_verifier", "--help"]
