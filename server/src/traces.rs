//! Sends the spans of [`rtc_server::spans`] to a collector of OpenTelemetry: OTLP in protobuf, over plain HTTP.
//!
//! The library sends from a thread of its own, a batch every few seconds, so a collector that does not answer holds up
//! nobody; what does not fit in its queue (2048 spans) is lost.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use rtc_server::cli::Collector;
use rtc_server::spans;
use tracing_subscriber::filter::{LevelFilter, filter_fn};
use tracing_subscriber::prelude::*;

use crate::logs::AnyLayer;

/// How long each step towards the collector may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of an answer that are looked at.
const ENOUGH: u64 = 4096;

/// Sends spans until it is dropped, and then the rest.
pub(crate) struct Traces(SdkTracerProvider);

impl Traces {
    pub(crate) fn start(collector: &Collector) -> anyhow::Result<Self> {
        let poster = Poster {
            host: collector.host().to_owned(),
            fails: AtomicBool::new(false),
        };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(poster)
            .with_endpoint(collector.traces_url())
            .build()
            .context("traces cannot be sent")?;
        let resource = Resource::builder()
            .with_service_name("rtc-server")
            .with_attribute(opentelemetry::KeyValue::new(
                "service.version",
                env!("CARGO_PKG_VERSION"),
            ))
            .build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        Ok(Self(provider))
    }

    pub(crate) fn layer(&self) -> AnyLayer {
        let own =
            filter_fn(|span| span.target() == spans::TARGET).with_max_level_hint(LevelFilter::INFO);
        tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer("rtc-server"))
            .with_location(false)
            .with_target(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(own)
            .boxed()
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            tracing::warn!("the last traces were not sent: {error}");
        }
    }
}

/// A request at a time on a connection of its own, from the library's thread, which may wait.
#[derive(Debug)]
struct Poster {
    host: String,
    /// Whether the last try failed, so that a collector that is away is told of once.
    fails: AtomicBool,
}

#[async_trait]
impl HttpClient for Poster {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let sent = self.post(&request);
        let failed_before = self.fails.swap(sent.is_err(), Ordering::Relaxed);
        if let (Err(error), false) = (&sent, failed_before) {
            tracing::warn!(
                "traces do not reach the collector at {}: {error}",
                self.host
            );
        }
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = sent?.try_into()?;
        Ok(response)
    }
}

impl Poster {
    /// Gives the status of the answer.
    fn post(&self, request: &Request<Bytes>) -> io::Result<u16> {
        let nowhere = || io::Error::new(io::ErrorKind::NotFound, "its name has no address");
        let address = self.host.to_socket_addrs()?.next().ok_or_else(nowhere)?;
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let path = request.uri().path();
        let mut head = format!("POST {path} HTTP/1.1\r\nHost: {}\r\n", self.host);
        for (name, value) in request.headers() {
            if let Ok(value) = value.to_str() {
                head.push_str(&format!("{name}: {value}\r\n"));
            }
        }
        let length = request.body().len();
        head.push_str(&format!(
            "Content-Length: {length}\r\nConnection: close\r\n\r\n"
        ));
        stream.write_all(head.as_bytes())?;
        stream.write_all(request.body())?;
        let mut answer = Vec::new();
        stream.take(ENOUGH).read_to_end(&mut answer)?;
        let text = String::from_utf8_lossy(&answer);
        let status = text.split(' ').nth(1).and_then(|code| code.parse().ok());
        let strange = || io::Error::new(io::ErrorKind::InvalidData, "its answer is no HTTP");
        match status.ok_or_else(strange)? {
            taken @ 200..=299 => Ok(taken),
            refused => Err(io::Error::other(format!("it answers {refused}"))),
        }
    }
}
