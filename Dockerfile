# syntax=docker/dockerfile:1

FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download
COPY . .
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o /out/ ./cmd/... && mkdir /empty

# Nothing but the programs, certificate authorities and time zones: no shell, no packages, no root.
FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/
COPY --from=build /usr/local/go/lib/time/zoneinfo.zip /usr/share/
COPY --from=build /out/ /usr/local/bin/
COPY --from=build --chown=65532:65532 /empty /var/lib/pushfleet
ENV PATH=/usr/local/bin ZONEINFO=/usr/share/zoneinfo.zip
USER 65532:65532
WORKDIR /var/lib/pushfleet
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
    CMD ["/usr/local/bin/pushfleet", "healthcheck", "--config", "/etc/pushfleet/pushfleet.yml"]
ENTRYPOINT ["/usr/local/bin/pushfleet"]
CMD ["run", "--config", "/etc/pushfleet/pushfleet.yml"]
