# The gateway as an image: no compiler, no Node.js and no root at run time.
#
#   docker build -t caller .
#   docker run --init -p 8080:8080 -p 8080:8080/udp -v caller-data:/data --env-file caller.env caller

# A version; a digest, which no registry can fill otherwise, is given as a build argument.
ARG PYTHON_IMAGE=python:3.13.9-slim-trixie

FROM ${PYTHON_IMAGE} AS build
# Only builds, and is thrown away; Debian keeps no older version that could be named.
# hadolint ignore=DL3008
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev
WORKDIR /src
RUN python -m venv /opt/caller
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CACHE_DIR=/cache/pip NPM_CONFIG_CACHE=/cache/npm
COPY requirements/run.txt requirements/run.txt
RUN --mount=type=cache,target=/cache \
    /opt/caller/bin/pip install --require-hashes -r requirements/run.txt
# The API's document is made by the packages that are there now. The build hook fetches Node.js and
# mypyc from PyPI into its own passing environment, builds the pages and compiles the frame path.
COPY . .
ENV COMPILE_CALLER=1
RUN --mount=type=cache,target=/cache \
    /opt/caller/bin/python deploy/build_api.py \
    && /opt/caller/bin/pip install --no-deps .

FROM ${PYTHON_IMAGE}
RUN groupadd --system --gid 10001 caller \
    && useradd --system --uid 10001 --gid caller --home-dir /data --no-create-home caller \
    && install --directory --owner=caller --group=caller --mode=0700 /data
COPY --from=build /opt/caller /opt/caller
ENV PATH=/opt/caller/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    CALLER_HOST=0.0.0.0 \
    CALLER_PORT=8080 \
    CALLER_DATA_DIR=/data \
    CALLER_LOG_FORMAT=json
USER 10001:10001
WORKDIR /data
VOLUME /data
EXPOSE 8080 8080/udp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 CMD ["python", "-c", \
    "import os, ssl, urllib.request as u; s = 'https' if os.environ.get('CALLER_TLS_CERTIFICATE') else 'http'; u.urlopen(f\"{s}://127.0.0.1:{os.environ['CALLER_PORT']}/healthz\", timeout=2, context=ssl._create_unverified_context())"]
ENTRYPOINT ["caller"]
CMD ["serve"]
