# The studio on a machine with an NVIDIA GPU. Packages, lock and command are the Makefile's own; tests/test_container.py
# compares. Build and start it with `docker compose up --build`; docs/decisions/0003 says why it takes the host's network.
FROM nvidia/cuda:13.0.2-runtime-ubuntu24.04

ENV PYTHONUNBUFFERED=1 \
    PIP_NO_CACHE_DIR=1 \
    UV_NO_CACHE=1

RUN apt-get update \
 && apt-get install --yes --no-install-recommends make python3.12 python3.12-venv \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 10001 flawsmith

WORKDIR /app

# The packages come before the code: a change in the code rebuilds in seconds.
COPY Makefile requirements.txt requirements.lock ./
RUN make setup PYTHON=python3.12 REQUIREMENTS=requirements.txt

COPY app.py pyproject.toml LICENSE ./
COPY studio studio
COPY pipelines pipelines
COPY presets presets
RUN install --directory --owner=flawsmith runs

# Whoever runs in here may write into runs and nowhere else in /app.
USER flawsmith
VOLUME /app/runs

HEALTHCHECK --interval=30s --timeout=5s --start-period=60s --retries=3 \
    CMD [".venv/bin/python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:7860/healthz', timeout=4)"]

CMD [".venv/bin/python", "app.py", "--host", "127.0.0.1", "--port", "7860", "--runs", "runs", "--no-browser"]
