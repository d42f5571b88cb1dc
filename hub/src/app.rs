//! Opens the parts, starts the jobs, and ends them in order. Nothing is global.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use hub_domain::decide::{CALLBACK_WORK, GENERAL_WORK, Policy};
use hub_domain::registry::{Figures, Registry};
use hub_domain::workflows::eps;
use hub_domain::workflows::eps::signature::Verifier;
use hub_storage::ClockOffset;
use hub_transport::Place;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::auth::Authenticator;
use crate::backlog::Backlog;
use crate::config::{CheckCharacter, Config, References};
use crate::engine::{self, Engine};
use crate::interfaces;
use crate::interfaces::fhir::Capacity;
use crate::listener::Listener;
use crate::relay::{self, Relay};
use crate::service::Service;
use crate::signatures::Roots;
use crate::{callbacks, clock, housekeeping, parking, plans};

/// Batches that lanes may have committed before the relay takes them; what is beyond waits in the outbox.
const FRESH_LIMIT_BATCHES: usize = 256;
/// What one window of the broker takes: a full outbox drains by full windows.
const RELAY_BATCH_LIMIT_MESSAGES: u32 = 1000;
const RELAY_POLL: Duration = Duration::from_secs(1);

/// A hub that is up.
pub struct App {
    pub service: Arc<Service>,
    pub address: SocketAddr,
    /// Stops taking in; what is under way goes on.
    intake: CancellationToken,
    /// Stops the relay, the last to go.
    outlet: CancellationToken,
    edges: TaskTracker,
    jobs: TaskTracker,
}

impl App {
    /// Opens everything a site configured, and listens.
    pub async fn open(config: Config) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(config.listen)
            .await
            .with_context(|| format!("listen: {} cannot be listened on", config.listen))?;
        Self::open_on(config, listener).await
    }

    /// The same, on a socket that is bound already.
    pub async fn open_on(config: Config, listener: TcpListener) -> anyhow::Result<Self> {
        let policy = Arc::new(policy(&config)?);
        let metrics = hub_telemetry::metrics();
        let authenticator = Authenticator::open(&config).await?;
        let eps = eps_policy(&config)?;
        let storage = storage_options(&config);
        let clock_offset = storage.clock_offset.clone();
        let registry = hub_storage::open(config.database.reveal(), storage)
            .await
            .with_context(|| format!("database: {} cannot be opened", config.database))?;
        let transport = hub_transport::open(config.queue.reveal(), hub_transport::Options::hub())
            .await
            .with_context(|| format!("queue: {} cannot be opened", config.queue))?;
        let mut places = places(&config, &policy)?;
        places.extend(places_of_old_plans(&*registry).await);
        if let Err(trouble) = transport.ensure(&places).await {
            tracing::warn!(cause = %trouble, "the broker is away: its queues are made when it is back");
        }
        let (jobs, edges) = (TaskTracker::new(), TaskTracker::new());
        let (intake, outlet) = (CancellationToken::new(), CancellationToken::new());
        let (fresh, fresh_receiver) = mpsc::channel(FRESH_LIMIT_BATCHES);
        let backlog = Arc::new(Backlog::new(config.outbox_limit_messages));
        let engine = Engine::start(registry.clone(), policy, engine_options(&config), fresh, backlog.clone(), &jobs);
        let relay = Relay {
            registry: registry.clone(),
            transport: transport.clone(),
            backlog: backlog.clone(),
            options: relay_options(&config),
        };
        jobs.spawn(relay.run(fresh_receiver, outlet.clone()));
        let reports = Listener {
            engine: engine.clone(),
            registry: registry.clone(),
            transport: transport.clone(),
            users: config.amqp_users.clone(),
        };
        edges.spawn(reports.run(intake.clone()));
        edges.spawn(parking::run(registry.clone(), transport.clone(), intake.clone()));
        edges.spawn(housekeeping::run(registry.clone(), config.receipts_kept, intake.clone()));
        edges.spawn(backlog.watch(registry.clone(), intake.clone()));
        if !config.callbacks.is_empty() {
            let calls = callbacks::run(registry.clone(), transport.clone(), config.callbacks.clone(), intake.clone());
            edges.spawn(async {
                if let Err(error) = calls.await {
                    tracing::error!(cause = %error, "calling back has ended");
                }
            });
        }
        edges.spawn(clock::run(registry.clone(), engine.clone(), intake.clone()));
        let address = listener.local_addr()?;
        let capacity = Capacity::of(&config);
        let service = Arc::new(Service {
            config,
            engine,
            registry,
            transport,
            authenticator,
            capacity,
            metrics,
            eps,
            opened: clock::now(),
            clock_offset,
        });
        edges.spawn(serve(listener, service.clone(), intake.clone()));
        tracing::info!(listen = %address, base = service.config.base, "the hub is ready");
        Ok(Self { service, address, intake, outlet, edges, jobs })
    }

    /// The FHIR base as a caller on this machine reaches it.
    pub fn base_url(&self) -> String {
        format!("http://{}{}", self.address, self.service.config.base)
    }

    /// Drains: takes nothing new, lets what is under way finish (as long as configured), sends what was committed,
    /// and closes.
    pub async fn close(self) {
        let drain = self.service.config.drain();
        self.intake.cancel();
        self.edges.close();
        if tokio::time::timeout(drain, self.edges.wait()).await.is_err() {
            tracing::warn!("work under way did not finish in time; what was not committed is not lost, but not done");
        }
        self.outlet.cancel();
        let (registry, transport) = (self.service.registry.clone(), self.service.transport.clone());
        // With the last engine the lanes end.
        drop(self.service);
        self.jobs.close();
        if tokio::time::timeout(drain, self.jobs.wait()).await.is_err() {
            tracing::warn!("a lane did not finish in time");
        }
        transport.close().await;
        registry.close().await;
        tracing::info!("the hub is closed");
    }
}

async fn serve(listener: TcpListener, service: Arc<Service>, stop: CancellationToken) {
    let router = axum::Router::new()
        .merge(interfaces::operations::router())
        .merge(interfaces::fhir::router(&service))
        .layer(tower_http::catch_panic::CatchPanicLayer::new())
        .with_state(service);
    let served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(cause = %error, "the REST interface ended");
    }
}

pub(crate) fn policy(config: &Config) -> anyhow::Result<Policy> {
    Ok(Policy {
        require_actionable: config.require_actionable,
        strict_references: config.references == References::Strict,
        update_create: config.update_create,
        require_if_match: config.require_if_match,
        auto_complete_request: config.auto_complete_request,
        offers_max: config.offers_max,
        leases: leases(config),
        calls_back: !config.callbacks.is_empty(),
        catalogue: plans::catalogue(config.plans.as_deref())?,
    })
}

/// A call is short: when its hub dies, another is made soon.
const CALLBACK_LEASE: Duration = Duration::from_secs(60);

fn leases(config: &Config) -> (BTreeMap<String, Option<Duration>>, Option<Duration>) {
    let (mut by_work, otherwise) = config.lease.clone().into_parts();
    by_work.entry(CALLBACK_WORK.to_owned()).or_insert(Some(CALLBACK_LEASE));
    (by_work, otherwise)
}

pub(crate) fn storage_options(config: &Config) -> hub_storage::Options {
    hub_storage::Options {
        // One for each lane, one for the relay, one for the clock.
        write_connections: u32::try_from(config.lanes).unwrap_or(u32::MAX).saturating_add(2),
        fresh_lease_ms: config.outbox_lease_ms,
        search_timeout_ms: config.search_timeout_ms,
        search_rows_limit: config.search_rows_limit,
        clock_offset: ClockOffset::of_us(config.clock_offset_us(clock::now())),
        ..hub_storage::Options::default()
    }
}

/// SQLite has one writer. One lane decides while another is committed; a third would only make the batches smaller.
const SQLITE_LANES: usize = 2;

fn engine_options(config: &Config) -> engine::Options {
    let one_writer = config.database.reveal().starts_with("sqlite:");
    engine::Options {
        lanes: if one_writer { config.lanes.min(SQLITE_LANES) } else { config.lanes },
        one_writer,
        batch_limit_commands: config.batch_limit_commands,
        queue_limit_commands: config.queue_limit_commands,
    }
}

fn relay_options(config: &Config) -> relay::Options {
    relay::Options {
        batch_limit_messages: RELAY_BATCH_LIMIT_MESSAGES,
        poll: RELAY_POLL,
        lease: config.outbox_lease(),
        performers: config.performers.iter().cloned().collect::<BTreeSet<String>>(),
        payload: config.payload.clone(),
    }
}

/// An order keeps the plan that it started with: its kinds of work need their queues though no plan of today has them.
async fn places_of_old_plans(registry: &dyn Registry) -> Vec<Place> {
    let figures = registry.figures().await.unwrap_or_else(|trouble| {
        tracing::warn!(cause = %trouble, "open Tasks cannot be counted: queues of plans that are gone are not made");
        Default::default()
    });
    places_of_open_work(&figures)
}

pub(crate) fn places_of_open_work(figures: &Figures) -> Vec<Place> {
    figures.open_tasks.iter().filter_map(|(work, ..)| Place::open(work).ok()).collect()
}

fn eps_policy(config: &Config) -> anyhow::Result<eps::Policy> {
    let roots = config.eps_signature_roots.as_deref().map(Roots::read).transpose().context("eps_signature_roots")?;
    Ok(eps::Policy {
        is_off: config.eps_base.is_none(),
        any_check_character: config.eps_check_character == CheckCharacter::Lenient,
        verifier: roots.map(|roots| Arc::new(roots) as Arc<dyn Verifier>),
    })
}

/// The queues there must be: one for each registered performer, and one for each kind of work of a plan. Performers
/// first: a worker that finds the open queue may then rely on its own being there, if ever.
pub(crate) fn places(config: &Config, policy: &Policy) -> anyhow::Result<Vec<Place>> {
    let calls = Some(callbacks::PERFORMER).filter(|_| !config.callbacks.is_empty());
    let performers = config.performers.iter().map(String::as_str).chain(calls).map(Place::performer);
    let works = policy.catalogue.works().into_iter().chain([GENERAL_WORK.to_owned()]);
    let works = works.chain(calls.map(|_| CALLBACK_WORK.to_owned()));
    let works = works.map(|work| Place::open(&work));
    Ok(performers.chain(works).collect::<Result<Vec<_>, _>>()?)
}
