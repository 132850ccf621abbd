# Animatic as a service. On a machine with NVIDIA's container toolkit:
#
#   docker build -t animatic .
#   docker run --rm -v animatic:/data animatic serve keys add me      # prints the key, once
#   docker run --gpus all -p 8420:8420 -v animatic:/data -v ~/.cache/huggingface:/models animatic
#
# Without --gpus it runs on the processor, and makes pocket's toy films.
FROM python:3.12-slim

WORKDIR /app
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir -c constraints.txt '.[serve]' \
    && useradd --create-home animatic \
    && mkdir -p /data /models \
    && chown animatic /data /models

USER animatic
ENV HF_HOME=/models \
    ANIMATIC_SERVE_HOST=0.0.0.0 \
    ANIMATIC_SERVE_DATA=/data/service \
    ANIMATIC_SERVE_STORE=/data/store
VOLUME ["/data", "/models"]
EXPOSE 8420
HEALTHCHECK --interval=30s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8420/readyz')"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["animatic"]
CMD ["serve"]
