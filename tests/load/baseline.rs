//! The baseline: what a good engineer writes by hand. The same gate; for each order one transaction, with one statement
//! for each table; then its messages, confirmed; then 201. Bodies are its own order's, packed as the hub's are; nothing is
//! decided, and messages are as they were recorded. No batches, no lanes, no outbox: who dies between the commit and the
//! confirm has lost a message.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use futures_util::future::try_join_all;
use lapin::Channel;
use lapin::options::ConfirmSelectOptions;
use schemas::gate;
use serde_json::json;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::post::{self, Envelope};
use crate::rows::{self, Rows};
use crate::specimen::{Copies, Specimen};

/// More do not make it faster on two cores.
const CONNECTIONS: u32 = 16;

/// How it is called: by the benchmark only.
#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    listen: SocketAddr,
    #[arg(long)]
    database: String,
    #[arg(long)]
    queue: String,
    #[arg(long)]
    specimen: PathBuf,
}

struct Service {
    pool: PgPool,
    channel: Channel,
    rows: Rows,
    envelopes: Vec<Vec<Envelope>>,
    copies: Copies,
}

pub(crate) async fn serve(arguments: Arguments) -> Result<()> {
    let specimen = Specimen::read(&arguments.specimen)?.settled();
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS);
    let pool = pool.connect_with(rows::options(&arguments.database)?).await?;
    let connection = post::connect(&arguments.queue).await?;
    let channel = connection.create_channel().await?;
    channel.confirm_select(ConfirmSelectOptions::default()).await?;
    let envelopes = specimen.orders.iter().map(|trace| trace.letters.iter().map(Envelope::to_hub).collect()).collect();
    let service = Service { pool, channel, rows: Rows::new(specimen), envelopes, copies: Copies::new(1, true) };
    let router = Router::new()
        .route("/health/ready", get(|| async { StatusCode::OK }))
        .route("/fhir/R4/{kind}", post(submit))
        .with_state(Arc::new(service));
    Ok(axum::serve(TcpListener::bind(arguments.listen).await?, router).await?)
}

async fn submit(State(service): State<Arc<Service>>, Path(kind): Path<String>, body: Bytes) -> Response {
    let Ok(mut resource) = gate::parse(&body, &gate::Limits::default()) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    if gate::check(&resource, Some(&kind)).is_err() {
        return StatusCode::UNPROCESSABLE_ENTITY.into_response();
    }
    let id = Uuid::now_v7().to_string();
    resource.insert("id".into(), id.as_str().into());
    resource.insert("meta".into(), json!({ "versionId": "1" }));
    let stored = serde_json::to_vec(&resource).unwrap_or_default();
    match service.take(&kind).await {
        Ok(()) => {
            let location = format!("/fhir/R4/{kind}/{id}/_history/1");
            let headers = [(CONTENT_TYPE, "application/fhir+json".to_owned()), (LOCATION, location)];
            (StatusCode::CREATED, headers, stored).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

impl Service {
    async fn take(&self, kind: &str) -> Result<()> {
        let orders = self.rows.orders().iter().enumerate();
        let Some((n, trace)) = orders.into_iter().find(|(_, trace)| trace.kind == kind) else {
            anyhow::bail!("no order of type {kind} was recorded");
        };
        let group = vec![(n, self.copies.of(trace.ids, trace.recorded_us))];
        self.rows.write(&mut *self.pool.acquire().await?, &group).await?;
        try_join_all(self.envelopes[n].iter().map(|envelope| envelope.confirmed(&self.channel))).await?;
        Ok(())
    }
}
