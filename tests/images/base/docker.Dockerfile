# The same base where Docker builds the images: Debian 12 with Python, and the libraries that model servers link to.
FROM docker.io/library/debian:bookworm-slim
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 ca-certificates libgomp1 libstdc++6 \
 && rm -rf /var/lib/apt/lists/*
CMD ["/bin/sh"]
