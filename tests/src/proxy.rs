//! A wire between two programs, which a story can slow, cut, or make swallow everything.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

const CHUNK_BYTES: usize = 16 * 1024;

/// How a wire is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    Whole,
    /// Every chunk takes so long, in either direction.
    Slow(Duration),
    /// Connections end, and new ones end at once.
    Cut,
    /// Connections stay, and nothing comes through until the wire is mended: a partition.
    Silent,
    /// What is asked arrives, and no answer comes back.
    Unanswered,
}

/// Listens on a port of its own and passes everything on. Ends when it is dropped.
pub struct Proxy {
    address: SocketAddr,
    wire: watch::Sender<Wire>,
    job: JoinHandle<()>,
}

#[derive(Clone, Copy, PartialEq)]
enum Direction {
    Asking,
    Answering,
}

impl Proxy {
    /// A whole wire to this address on this machine.
    pub async fn to(upstream: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let (wire, state) = watch::channel(Wire::Whole);
        let job = tokio::spawn(async move {
            loop {
                if let Ok((client, _)) = listener.accept().await {
                    tokio::spawn(pass(client, upstream, state.clone()));
                }
            }
        });
        Ok(Self { address, wire, job })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same URL, through this wire.
    pub fn through(&self, url: &str) -> String {
        let port = |address: &str| address.rsplit(':').next().map(str::to_owned);
        let host = url.split(['/', '@']).find(|part| part.starts_with("127.0.0.1:")).unwrap_or_default();
        let (from, to) = (port(host).unwrap_or_default(), self.address.port());
        url.replacen(&format!("127.0.0.1:{from}"), &format!("127.0.0.1:{to}"), 1)
    }

    pub fn becomes(&self, wire: Wire) {
        self.wire.send_replace(wire);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.wire.send_replace(Wire::Cut);
        self.job.abort();
    }
}

/// One connection: it lives until either side ends, or the wire is cut.
async fn pass(client: TcpStream, upstream: SocketAddr, wire: watch::Receiver<Wire>) {
    if *wire.borrow() == Wire::Cut {
        return;
    }
    let Ok(server) = TcpStream::connect(upstream).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut cut = wire.clone();
    tokio::select! {
        _ = carry(from_client, to_server, wire.clone(), Direction::Asking) => {}
        _ = carry(from_server, to_client, wire, Direction::Answering) => {}
        _ = cut.wait_for(|wire| *wire == Wire::Cut) => {}
    }
}

async fn carry(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut wire: watch::Receiver<Wire>,
    direction: Direction,
) -> io::Result<()> {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let length = from.read(&mut chunk).await?;
        if length == 0 {
            return Ok(());
        }
        // What was read before the wire fell silent is held, as a network holds it.
        let now = wire.wait_for(|wire| lets_pass(*wire, direction)).await.map(|wire| *wire);
        if let Ok(Wire::Slow(delay)) = now {
            sleep(delay).await;
        }
        to.write_all(&chunk[..length]).await?;
    }
}

fn lets_pass(wire: Wire, direction: Direction) -> bool {
    match wire {
        Wire::Whole | Wire::Slow(_) | Wire::Cut => true,
        Wire::Silent => false,
        Wire::Unanswered => direction == Direction::Asking,
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;

    /// A server that sends back what it gets.
    async fn echo() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = stream.split();
                    tokio::io::copy(&mut from, &mut to).await
                });
            }
        });
        address
    }

    async fn says(stream: &mut TcpStream, word: &[u8; 4]) -> Option<[u8; 4]> {
        stream.write_all(word).await.ok()?;
        let mut heard = [0; 4];
        let hears = timeout(Duration::from_millis(200), stream.read_exact(&mut heard)).await;
        hears.ok()?.ok().map(|_| heard)
    }

    #[tokio::test]
    async fn a_wire_is_as_it_is_told() {
        let proxy = Proxy::to(echo().await).await.unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(says(&mut stream, b"well").await, Some(*b"well"));
        proxy.becomes(Wire::Silent);
        assert_eq!(says(&mut stream, b"dumb").await, None);
        proxy.becomes(Wire::Whole);
        let mut heard = [0; 4];
        stream.read_exact(&mut heard).await.unwrap();
        assert_eq!(&heard, b"dumb", "nothing is lost in a partition that heals");
        proxy.becomes(Wire::Cut);
        assert_eq!(says(&mut stream, b"gone").await, None);
        let mut another = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(says(&mut another, b"gone").await, None);
    }

    #[tokio::test]
    async fn a_url_goes_through_it() {
        let proxy = Proxy::to(([127, 0, 0, 1], 1).into()).await.unwrap();
        let port = proxy.address().port();
        let through = proxy.through("amqp://guest:guest@127.0.0.1:5672/%2f");
        assert_eq!(through, format!("amqp://guest:guest@127.0.0.1:{port}/%2f"));
        let through = proxy.through("postgres://postgres@127.0.0.1:5432/postgres");
        assert_eq!(through, format!("postgres://postgres@127.0.0.1:{port}/postgres"));
    }
}
