//! What clients see: `POST /translate`, `GET /health`, and a page to type into.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use transformer::text::Paragraph;

use crate::queue::{Queue, Refused, Wish};

/// What a request may be, and how long it may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Of its body.
    pub(crate) bytes: usize,
    /// Of a request.
    pub(crate) sentences: usize,
    /// Of a sentence.
    pub(crate) characters: usize,
    /// The widest beam, and the one that is taken where none is asked for.
    pub(crate) beam: usize,
    /// From its head to its answer; a head may take as long as well.
    pub(crate) time: Duration,
    /// Connections at a time; further ones wait.
    pub(crate) connections: usize,
}

/// How long requests may go on when the server stops.
const GRACE: Duration = Duration::from_secs(10);

#[derive(Clone)]
struct App {
    queue: Arc<Queue>,
    limits: Limits,
}

/// The body of a request: sentences, or a text that is cut into them.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    text: Option<String>,
    sentences: Option<Vec<String>>,
    beam: Option<usize>,
    #[serde(default)]
    attention: bool,
}

/// A translation in an answer.
#[derive(Debug, Serialize)]
struct Told {
    text: String,
    score: f64,
    source_tokens: Vec<String>,
    /// How many were cut off at the end of the source.
    truncated_tokens: usize,
    tokens: Vec<String>,
    /// For each token and the end, how much it attends to each token of the source.
    #[serde(skip_serializing_if = "Option::is_none")]
    attention: Option<Vec<Vec<f32>>>,
}

impl AsRef<str> for Told {
    fn as_ref(&self) -> &str {
        &self.text
    }
}

/// An answer that is none.
struct Failure(StatusCode, String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let Self(status, reason) = self;
        let mut response = in_json(status, &json!({ "error": reason }));
        if status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

fn in_json(status: StatusCode, value: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

/// The service.
pub(crate) fn router(queue: Arc<Queue>, limits: Limits) -> Router {
    Router::new()
        .route("/", get(|| async { Html(include_str!("page.html")) }))
        .route("/health", get(health))
        .route("/translate", post(translate))
        .fallback(|| async {
            Failure(StatusCode::NOT_FOUND, "there is `/`, `/health` and `/translate`".into())
        })
        .layer(DefaultBodyLimit::max(limits.bytes))
        .layer(middleware::from_fn(move |request: Request, next: Next| async move {
            let answer = tokio::time::timeout(limits.time, next.run(request)).await;
            answer.unwrap_or_else(|_| {
                let reason = format!("no answer within {:?}", limits.time);
                Failure(StatusCode::GATEWAY_TIMEOUT, reason).into_response()
            })
        }))
        .with_state(App { queue, limits })
}

async fn health(State(app): State<App>) -> Response {
    let [translated, calls] = app.queue.done();
    let waiting = app.queue.len();
    in_json(StatusCode::OK, &json!({"waiting": waiting, "translated": translated, "calls": calls}))
}

async fn translate(
    State(app): State<App>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Failure> {
    let body = body.map_err(|rejected| Failure(rejected.status(), rejected.body_text()))?;
    let bad = |reason: String| Failure(StatusCode::BAD_REQUEST, reason);
    let asked: Asked = serde_json::from_slice(&body).map_err(|error| bad(error.to_string()))?;
    let Asked { text, sentences, beam, attention } = asked;
    let text = text.as_deref().map(Paragraph::new);
    let sentences = match (&text, sentences) {
        (Some(text), None) => text.sentences().into_iter().map(str::to_owned).collect(),
        (None, Some(sentences)) if !sentences.is_empty() => sentences,
        _ => return Err(bad("expected `text` or some `sentences`, one of them".to_owned())),
    };
    let wish = Wish { beam: beam.unwrap_or(app.limits.beam), attention };
    check(&sentences, wish, &app.limits).map_err(bad)?;
    let answers = app.queue.push(sentences, wish).map_err(|refused| match refused {
        Refused::Full => Failure(
            StatusCode::TOO_MANY_REQUESTS,
            "too many sentences wait already: try again later".to_owned(),
        ),
        Refused::Closed => Failure(StatusCode::SERVICE_UNAVAILABLE, "the server stops".to_owned()),
    })?;
    let mut translations = Vec::with_capacity(answers.len());
    for (at, answer) in answers.into_iter().enumerate() {
        let failed = |reason: String| {
            Failure(StatusCode::INTERNAL_SERVER_ERROR, format!("sentence {}: {reason}", at + 1))
        };
        let found = answer.await.map_err(|_| failed("the server stops".to_owned()))?;
        let found = found.map_err(failed)?;
        translations.push(Told {
            text: found.text,
            score: found.hypothesis.score,
            source_tokens: found.source_tokens,
            truncated_tokens: found.truncated_tokens,
            tokens: found.tokens,
            attention: found.hypothesis.attention,
        });
    }
    let mut answer = json!({ "translations": translations });
    if let Some(text) = text {
        answer["text"] = text.join(&translations).into();
    }
    Ok(in_json(StatusCode::OK, &answer))
}

/// Whether a request keeps the limits.
fn check(sentences: &[String], wish: Wish, limits: &Limits) -> Result<(), String> {
    if sentences.len() > limits.sentences {
        return Err(format!(
            "{} sentences, expected at most {}",
            sentences.len(),
            limits.sentences
        ));
    }
    let too_long = |sentence: &String| sentence.chars().count() > limits.characters;
    if let Some(at) = sentences.iter().position(too_long) {
        let most = limits.characters;
        return Err(format!("sentence {} has more than {most} characters", at + 1));
    }
    if !(1..=limits.beam).contains(&wish.beam) {
        return Err(format!("`beam` is {}, expected 1 to {}", wish.beam, limits.beam));
    }
    Ok(())
}

/// Answers connections until `stop`; then those that have begun, for some seconds.
pub(crate) async fn serve(
    listener: TcpListener,
    service: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let permits = Arc::new(Semaphore::new(limits.connections));
    let open = GracefulShutdown::new();
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.time);
    tokio::pin!(stop);
    loop {
        let accepted = async {
            let permit = permits.clone().acquire_owned().await;
            (permit, listener.accept().await)
        };
        let (permit, accepted) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut stop => break,
        };
        let Ok((stream, _)) = accepted else {
            // Out of files, perhaps: others end meanwhile.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let service = TowerToHyperService::new(service.clone());
        let connection = open.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            // A client that breaks off is its own affair.
            let _: Result<(), _> = connection.await;
            drop(permit);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(GRACE, open.shutdown()).await;
}

/// Listens, and says where.
pub(crate) async fn listen(address: SocketAddr) -> anyhow::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(address)
        .await
        .map_err(|error| anyhow::anyhow!("--address {address}: {error}"))?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}
