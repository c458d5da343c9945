# A bundle as an image: docs/docker.md says how it is built and mounted. The context is the bundle's folder.
ARG BASE=scratch
FROM $BASE
ARG NAME=model
COPY . /$NAME/
LABEL org.opencontainers.image.title="$NAME" \
      org.opencontainers.image.description="A bundle of Carousel"
