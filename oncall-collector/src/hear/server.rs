//! HTTP/1.1 for one kind of request. Connections, their time and their bodies are bounded, whoever connects.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{ALLOW, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{timeout, timeout_at};

use super::PROGRAM;
use super::signature::{HEADER, Secrets};

/// What connections may take, all together.
#[derive(Debug, Clone, Copy)]
pub struct Places {
    /// The most at once.
    most: usize,
    /// How long one is kept while others wait for its place.
    grace: Duration,
    /// How long one may last, which is one request.
    longest: Duration,
}

/// Anybody on this host can connect. With all places taken the oldest connection makes room, once it has had the time that
/// a proxy takes to send what it connected for: many webhooks may come at the same moment, and none of them ends another.
pub const PLACES: Places =
    Places { most: 64, grace: Duration::from_secs(1), longest: Duration::from_secs(10) };

/// The largest body that is taken, in bytes: PagerDuty's have some kilobytes.
const LARGEST: usize = 1024 * 1024;

/// What is read of a body that is too large, so that the sender reads the answer instead of a reset connection.
const DISCARDED: usize = 32 * 1024 * 1024;

/// The largest header, in bytes.
const LARGEST_HEADER: usize = 16 * 1024;

/// Between two lines of the log about requests that were refused.
const LOG_EVERY: Duration = Duration::from_secs(60);

/// What all requests share.
struct Hearing<F> {
    secrets: Secrets,
    on_signed: F,
    refused: Mutex<Refused>,
}

/// Requests that were refused since the log had a line about it.
#[derive(Default)]
struct Refused {
    count: u64,
    logged: Option<Instant>,
}

/// Answers everybody who connects; calls `on_signed` for each webhook that is right, which must not wait.
///
/// # Errors
/// It cannot begin; once it has, it does not end.
pub fn serve<F>(listener: TcpListener, places: Places, secrets: Secrets, on_signed: F) -> io::Result<()>
where
    F: Fn() + Send + Sync + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    listener.set_nonblocking(true)?;
    let hearing = Arc::new(Hearing { secrets, on_signed, refused: Mutex::default() });
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        let mut open = Open::default();
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    open.make_room(places).await;
                    let connection = timeout(places.longest, connection(stream, hearing.clone()));
                    open.serve(async { _ = connection.await });
                }
                // No more descriptors, say: others will end.
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    })
}

/// The connections there are.
#[derive(Default)]
struct Open {
    running: JoinSet<()>,
    /// Since when each lasts, in their order.
    order: VecDeque<(tokio::time::Instant, AbortHandle)>,
}

impl Open {
    /// Waits for a place: until a connection has come to its end, or the oldest has had its time and is ended.
    async fn make_room(&mut self, places: Places) {
        loop {
            // What has ended is not looked at again.
            while self.running.try_join_next().is_some() {}
            self.order.retain(|(_, connection)| !connection.is_finished());
            let Some((since, oldest)) = self.order.front().filter(|_| self.order.len() >= places.most) else {
                return;
            };
            if timeout_at(*since + places.grace, self.running.join_next()).await.is_err() {
                oldest.abort();
                self.order.pop_front();
            }
        }
    }

    fn serve(&mut self, connection: impl Future<Output = ()> + Send + 'static) {
        let running = self.running.spawn(connection);
        self.order.push_back((tokio::time::Instant::now(), running));
    }
}

async fn connection<F: Fn() + Send + Sync>(stream: TcpStream, hearing: Arc<Hearing<F>>) {
    let service = service_fn(|request| {
        let hearing = hearing.clone();
        async move { Ok::<_, Infallible>(answer(request, &hearing).await) }
    });
    // What a client breaks off is its own affair.
    let _ = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(LARGEST_HEADER)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer<F: Fn()>(request: Request<Incoming>, hearing: &Hearing<F>) -> Response<String> {
    let (head, body) = request.into_parts();
    let Some(body) = read(body).await else {
        return reply(StatusCode::PAYLOAD_TOO_LARGE, "larger than any webhook\n");
    };
    if head.method != Method::POST {
        let mut refusal = reply(StatusCode::METHOD_NOT_ALLOWED, "webhooks are posted\n");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
        return refusal;
    }
    let signatures = head.headers.get_all(HEADER).iter().map(HeaderValue::as_bytes);
    if !hearing.secrets.signed(signatures, &body) {
        hearing.count_refused();
        return reply(StatusCode::UNAUTHORIZED, "no signature of this body by a secret that is known here\n");
    }
    (hearing.on_signed)();
    reply(StatusCode::ACCEPTED, "")
}

/// The body, if it is no larger than one may be.
async fn read(mut body: Incoming) -> Option<Vec<u8>> {
    let (mut bytes, mut length) = (Vec::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        // Broken off: what there is has no right signature.
        let Ok(frame) = frame else { break };
        let data = frame.data_ref().map(|data| &data[..]).unwrap_or_default();
        length = length.saturating_add(data.len());
        if length <= LARGEST {
            bytes.extend_from_slice(data);
        }
        if length > DISCARDED {
            break;
        }
    }
    (length <= LARGEST).then_some(bytes)
}

fn reply(status: StatusCode, text: &str) -> Response<String> {
    let mut response = Response::new(text.to_string());
    *response.status_mut() = status;
    response
}

impl<F> Hearing<F> {
    fn count_refused(&self) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.count += 1;
        if refused.logged.is_none_or(|logged| logged.elapsed() >= LOG_EVERY) {
            let text = format_args!("{} requests without a right signature; see secret_files", refused.count);
            host::output::complain(PROGRAM, text);
            *refused = Refused { count: 0, logged: Some(Instant::now()) };
        }
    }
}

#[cfg(test)]
mod tests;
