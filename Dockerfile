# The portal in one image. Checked as far as that goes without an engine (tests/domain/test_deploy.py); not built by CI.
#   docker build -t referral-portal . && docker compose up -d
FROM python:3.13-slim

RUN useradd --system --create-home --home-dir /var/lib/portal --shell /usr/sbin/nologin portal
WORKDIR /opt/portal

COPY requirements.lock ./
RUN pip install --no-cache-dir --no-deps --require-hashes -r requirements.lock

COPY pyproject.toml wsgi.py ./
COPY portal portal
COPY migrations migrations
COPY templates templates
COPY static static
COPY translations translations
RUN python -m compileall -q portal migrations wsgi.py

USER portal
ENV INSTANCE_DIR=/var/lib/portal HOST=0.0.0.0 PORT=8000 LOG_FORMAT=json PYTHONPATH=/opt/portal
VOLUME /var/lib/portal
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=20s CMD ["python", "-c", \
    "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
CMD ["python", "-m", "portal", "serve"]
