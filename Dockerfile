# The base install on the CPU; docs/installation.md says how to build and start it.
FROM python:3.11-slim

# Open3D, of the extra that shows meshes, loads libusb at import.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libusb-1.0-0 \
    && rm -rf /var/lib/apt/lists/*

RUN useradd --create-home --uid 1000 user
WORKDIR /suite

# PyTorch's own index first: PyPI's build brings 3 GB of CUDA libraries.
RUN pip install --no-cache-dir torch --index-url https://download.pytorch.org/whl/cpu
COPY --chown=user . .
RUN pip install --no-cache-dir -e . && mkdir -p runs && chown user runs

USER user
ENTRYPOINT ["morphable-faces"]
CMD ["--help"]
