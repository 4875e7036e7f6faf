# rtc-server in a small image. Only the server's crates are built: no codecs, no media.
#
#   docker build -t rtc-server .
#   docker run --rm -p 8080:8080 rtc-server
#   docker build --build-arg FEATURES=otel -t rtc-server .     # with traces, see docs/operations.md

FROM rust:1.94-slim-bookworm AS build
ARG FEATURES=""
WORKDIR /src
COPY . .
# The lock file names every version; the cache holds what was downloaded and built between two builds.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --package rtc-server --features "$FEATURES" \
    && cp target/release/rtc-server /rtc-server

# The C library, CA certificates and nothing else: no shell, and a user that is not root.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /rtc-server /usr/local/bin/rtc-server
# A container's own loopback is reached by nobody.
ENV RTC_SERVER_LISTEN=0.0.0.0:8080
EXPOSE 8080
# Drains; `docker stop --time 310` leaves calls the time to end.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=2s \
    CMD ["/usr/local/bin/rtc-server", "health"]
ENTRYPOINT ["/usr/local/bin/rtc-server"]
