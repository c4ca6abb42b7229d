//! The admin interface of a broker, over HTTP.

use crate::admin_api::Problem;
use crate::failure::{Exit, Failure};
use bytes::Bytes;
use esker_env::{Env, TaskPlacement, timeout};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use std::time::Duration;

/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the head of an answer may take; a body may take as long as its work.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest line or document that is read.
const LINE_BYTES_MAX: usize = 16 << 20;

/// An answer whose lines are read as they come.
pub(crate) struct Answer {
    address: String,
    body: Incoming,
    gathered: Vec<u8>,
    ended: bool,
}

/// Sends a request; an answer with an error status is a failure.
pub(crate) async fn call(
    env: &Env,
    address: &str,
    method: Method,
    path: &str,
) -> Result<Answer, Failure> {
    let what = format!("{method} http://{address}{path}");
    let (status, answer) = send(env, address, method, path).await?;
    if status.is_success() {
        return Ok(answer);
    }
    let text = answer.text().await.unwrap_or_default();
    let problem = serde_json::from_str::<Problem>(&text).map_or(text, |problem| problem.error);
    let exit = match status {
        StatusCode::NOT_FOUND => Exit::NotFound,
        StatusCode::SERVICE_UNAVAILABLE => Exit::Unhealthy,
        StatusCode::GATEWAY_TIMEOUT => Exit::Timeout,
        _ => Exit::Error,
    };
    Err(Failure::new(exit, format!("{what}: {status}: {}", problem.trim())))
}

/// Whether a broker with this admin interface is there and serves.
pub async fn is_ready(env: &Env, address: &str) -> bool {
    call(env, address, Method::GET, "/readyz").await.is_ok()
}

/// Sends a request, whatever its answer says.
pub(crate) async fn send(
    env: &Env,
    address: &str,
    method: Method,
    path: &str,
) -> Result<(StatusCode, Answer), Failure> {
    let what = format!("{method} http://{address}{path}");
    let unreachable = |why: String| {
        Failure::new(Exit::Error, format!("{what}: {why}")).hint(
            "is the broker running? Say where its admin interface is with --admin or ESKER_ADMIN",
        )
    };
    let late = |_| Failure::new(Exit::Timeout, format!("{what}: no answer in time"));
    let stream = timeout(&*env.clock, CONNECT_TIMEOUT, env.net.connect(address))
        .await
        .map_err(late)?
        .map_err(|error| unreachable(error.to_string()))?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| unreachable(error.to_string()))?;
    let serve = async move {
        // A connection that breaks shows in the answer.
        let _broken = connection.await;
    };
    env.spawner.spawn(TaskPlacement::Background, "admin client", Box::pin(serve));
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, address)
        .body(Empty::<Bytes>::new())
        .map_err(|error| Failure::usage(format!("{what}: {error}")))?;
    let response: Response<Incoming> =
        timeout(&*env.clock, ANSWER_TIMEOUT, sender.send_request(request))
            .await
            .map_err(late)?
            .map_err(|error| unreachable(error.to_string()))?;
    let status = response.status();
    let answer = Answer {
        address: address.to_owned(),
        body: response.into_body(),
        gathered: Vec::new(),
        ended: false,
    };
    Ok((status, answer))
}

impl Answer {
    /// The next line; `None` at the end.
    pub(crate) async fn line(&mut self) -> Result<Option<String>, Failure> {
        loop {
            if let Some(end) = self.gathered.iter().position(|byte| *byte == b'\n') {
                let line: Vec<_> = self.gathered.drain(..=end).collect();
                return Ok(Some(String::from_utf8_lossy(&line).trim_end().to_owned()));
            }
            if self.ended {
                let line = std::mem::take(&mut self.gathered);
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                return Ok(Some(text).filter(|text| !text.is_empty()));
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Result<(), Failure> {
        let failed =
            |why: String| Failure::new(Exit::Error, format!("read from {}: {why}", self.address));
        match self.body.frame().await {
            None => self.ended = true,
            Some(Err(error)) => return Err(failed(error.to_string())),
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    if self.gathered.len() + data.len() > LINE_BYTES_MAX {
                        return Err(failed("the answer is too long".to_owned()));
                    }
                    self.gathered.extend_from_slice(&data);
                }
            }
        }
        Ok(())
    }

    /// The whole body.
    pub(crate) async fn text(mut self) -> Result<String, Failure> {
        while !self.ended {
            self.more().await?;
        }
        Ok(String::from_utf8_lossy(&self.gathered).into_owned())
    }

    /// The whole body as what it stands for.
    pub(crate) async fn json<T: DeserializeOwned>(self) -> Result<T, Failure> {
        let address = self.address.clone();
        let text = self.text().await?;
        read(&address, &text)
    }

    /// The next line as what it stands for.
    pub(crate) async fn json_line<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Failure> {
        match self.line().await? {
            None => Ok(None),
            Some(line) => read(&self.address, &line).map(Some),
        }
    }
}

fn read<T: DeserializeOwned>(address: &str, text: &str) -> Result<T, Failure> {
    serde_json::from_str(text).map_err(|error| {
        let what = format!("{address} answered something else than was asked for: {error}");
        Failure::new(Exit::Error, what).hint("are the broker and this program of the same version?")
    })
}
