# syntax=docker/dockerfile:1
# CoCon with everything of '.[all]', in the versions of requirements.txt; see docs/commands.md.
#   CPU:  docker build -t cocon .
#   CUDA: docker build -t cocon:cuda --build-arg BASE=nvidia/cuda:13.0.3-base-ubuntu24.04 --build-arg TORCH=cuda .
ARG BASE=debian:trixie-slim
FROM ${BASE}

# cpu: torch without CUDA's libraries, from PyTorch's own index; cuda: torch of the package index, which brings them
ARG TORCH=cpu
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]

# libarchive reads rar archives; git is for the revision that checkpoints record
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates git libarchive13t64 python3 python3-venv \
    && rm -rf /var/lib/apt/lists/*

ENV PATH=/opt/venv/bin:$PATH
WORKDIR /opt/cocon

# The packages first: they stay when only the code changes.
COPY requirements.txt ./
RUN if [ "${TORCH}" = cpu ]; then export PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu; fi \
    && python3 -m venv /opt/venv \
    && pip install --no-cache-dir --constraint requirements.txt torch \
    && pip check

COPY . .
RUN pip install --no-cache-dir --constraint requirements.txt --editable '.[all]' \
    && pip check

# Weights, assets and compiled kernels are kept in ~/.cache; a volume there outlives the container. Anybody may write
# there, so that `docker run --user` works; Apptainer uses the home of its user.
RUN useradd --create-home --uid 1001 cocon && install -d -m 1777 /home/cocon /home/cocon/.cache /project
ENV HOME=/home/cocon USER=cocon
USER 1001
VOLUME /home/cocon/.cache
# the folder of a run: its config.yaml, data/ and results/
WORKDIR /project
CMD ["cocon", "--help"]
