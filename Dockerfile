# The service and its worker in one image. By default it runs on MontyDB and an embedded PostgreSQL under /data:
#   docker build -t tandem . && docker run -p 127.0.0.1:8000:8000 -v tandem:/data tandem
# docker-compose.yml runs it with real servers.

FROM python:3.13-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /build
RUN python -m venv /opt/tandem
COPY requirements/run.txt requirements/run.txt
RUN /opt/tandem/bin/pip install --no-deps --require-hashes -r requirements/run.txt && /opt/tandem/bin/pip check
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN /opt/tandem/bin/pip install --no-index --no-deps --no-build-isolation . \
 && /opt/tandem/bin/python -m compileall -q /opt/tandem/lib

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /data --create-home tandem
COPY --from=build /opt/tandem /opt/tandem
ENV PATH=/opt/tandem/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    APP_ENV=development \
    STORE=dual \
    DUAL_WRITE_SOURCE=monty \
    MONTY_STORAGE=sqlite \
    POSTGRES_URL=embedded \
    DATA_DIR=/data \
    HOST=0.0.0.0 \
    PORT=8000
USER tandem
WORKDIR /data
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['PORT']}/livez\", timeout=2)"]
STOPSIGNAL SIGTERM
CMD ["tandem", "serve"]
