# An image that runs the demo and every tool. On the CPU:
#
#   docker build -t fragrant:cpu .
#
# with CUDA (Triton writes its kernels when they are first called, so this one has a C compiler and Python's headers):
#
#   docker build -t fragrant:cuda --build-arg BASE=nvidia/cuda:13.0.1-base-ubuntu24.04 \
#       --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 \
#       --build-arg PACKAGES="python3-venv python3-dev gcc libc6-dev" .
#
# compose.yaml has both; docs/cluster.md says more.
ARG BASE=python:3.12-slim-bookworm
FROM ${BASE}

ARG PACKAGES=""
RUN if [ -n "$PACKAGES" ]; then \
        apt-get update \
        && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $PACKAGES \
        && rm -rf /var/lib/apt/lists/*; \
    fi

ENV PATH=/opt/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
RUN python3 -m venv /opt/venv
WORKDIR /app

# What is needed first, torch before all else: a change of the code installs none of it again.
COPY requirements.txt .
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN pip install --index-url "$TORCH_INDEX" $(sed -n 's/^\(torch[a-z]*[<>=.0-9]*\).*/\1/p' requirements.txt)
RUN pip install "setuptools>=64" -r requirements.txt

# Any user may run it (--user): a home to write caches in, and folders for data and results.
ARG USER_ID=1000
RUN useradd --create-home --non-unique --uid "$USER_ID" fragrant \
    && mkdir -p data output \
    && chmod 1777 /home/fragrant data output
ENV HOME=/home/fragrant USER=fragrant

COPY setup.py README.md LICENSE ./
COPY fragrant fragrant
COPY tools tools
COPY configs configs
RUN pip install --no-deps --no-build-isolation -e .

USER fragrant
ENTRYPOINT ["python"]
CMD ["tools/run_net.py", "--cfg", "configs/demo/uniformer_xs.yaml"]
