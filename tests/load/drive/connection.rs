//! One connection over HTTP/1.1, with nothing between it and the socket.

use std::net::SocketAddr;

use anyhow::Result;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::spawn_local;

pub(crate) type Body = Full<Bytes>;

pub(super) struct Connection(SendRequest<Body>);

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
}

impl Connection {
    pub(super) async fn open(to: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Its end is seen by whoever asks next.
        spawn_local(connection);
        Ok(Self(sender))
    }

    /// The answer, when all of it has come.
    pub(super) async fn ask(&mut self, request: Request<Body>) -> Result<Answer> {
        self.0.ready().await?;
        let (head, mut body) = self.0.send_request(request).await?.into_parts();
        while let Some(frame) = body.frame().await {
            frame?;
        }
        Ok(Answer { status: head.status.as_u16(), headers: head.headers })
    }
}
