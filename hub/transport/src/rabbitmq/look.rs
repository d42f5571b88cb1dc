//! A look at the queues of a broker that makes none, for whoever asks why nothing moves.

use lapin::options::QueueDeclareOptions;
use lapin::types::FieldTable;
use lapin::uri::AMQPUri;
use lapin::{Connection, ConnectionProperties};

use super::{link, topology};
use crate::queue::{Place, Routing, Seen, Standing, Tier, Trouble};
use crate::resting::STEPS_SECONDS;

pub(crate) async fn look(url: &str, places: &[Place]) -> Result<Vec<Seen>, Trouble> {
    // The parser's words may quote the URL, and that holds a password.
    let uri: AMQPUri =
        url.parse().map_err(|_| Trouble::BadUrl("not of the form amqp://user:password@host:port/vhost".to_owned()))?;
    let properties = ConnectionProperties::default().with_connection_name("doctor".into());
    let connection = Connection::connect_uri(uri, properties).await.map_err(|error| link::trouble(&error))?;
    let mut seen = Vec::new();
    for queue in names(places) {
        let standing = standing(&connection, &queue).await.map_err(|error| link::trouble(&error))?;
        seen.push(Seen { queue, standing });
    }
    // Whatever the answer, it ends with the process.
    let _ = connection.close(200, "seen".into()).await;
    Ok(seen)
}

fn names(places: &[Place]) -> Vec<String> {
    let work = |place: &Place| Tier::BOTH.map(|tier| topology::queue_of(&Routing::work(place.clone(), tier)));
    let lasting = [topology::REPORTS.to_owned(), topology::PARKED.to_owned()];
    places.iter().flat_map(work).chain(lasting).chain(STEPS_SECONDS.map(topology::retry_name)).collect()
}

/// On a channel of its own, since a "no such queue" costs it.
async fn standing(connection: &Connection, queue: &str) -> lapin::Result<Option<Standing>> {
    let channel = connection.create_channel().await?;
    let options = QueueDeclareOptions::durable().passive();
    match channel.queue_declare(topology::short(queue), options, FieldTable::default()).await {
        Ok(found) => {
            let standing = Standing { ready: found.message_count().into(), consumers: found.consumer_count() };
            channel.close(200, "seen".into()).await?;
            Ok(Some(standing))
        }
        Err(error) if link::reply_code(&error) == Some(404) => Ok(None),
        Err(error) => Err(error),
    }
}
