//! A registry with a million Tasks is asked, each question alone and then all while orders come at half load.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};
use sqlx::{Connection, PgConnection};
use tests::Client;

use super::floored::{Floored, speed};
use super::{Settings, tidy};
use crate::drive::{Call, Caller, Pace};
use crate::loader::Loader;
use crate::orders::{Orders, digits};
use crate::report::{Line, Point, Report};
use crate::specimen::{OWNERS, Specimen, Until, owner, patient_of};
use crate::stand::{Listening, Stand};

const TASKS: u64 = 1_000_000;
const CONNECTIONS: usize = 32;
/// Ids that are asked for, chosen by chance.
const KNOWN: i64 = 20_000;

/// Work items of orders, which are what is asked about.
const IDS: &str = "SELECT id FROM task WHERE status = 'accepted' AND id NOT LIKE '%.0' ORDER BY hashtext(id) LIMIT $1";

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Question {
    Read,
    Worklist,
    Patient,
    Focus,
    OrderStatus,
}

impl Question {
    pub(super) const ALL: [Self; 5] = [Self::Read, Self::Worklist, Self::Patient, Self::Focus, Self::OrderStatus];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Read => "Task by id",
            Self::Worklist => "worklist",
            Self::Patient => "by patient identifier",
            Self::Focus => "by focus",
            Self::OrderStatus => "order status",
        }
    }

    fn line(self) -> Option<Line> {
        match self {
            Self::Read => Line::at_least(8_000.0, 20_000.0),
            Self::Worklist => Line::at_least(4_000.0, 8_000.0),
            _ => None,
        }
    }
}

/// Asks one question again and again, of another Task each time.
pub(super) struct Asking {
    question: Option<Question>,
    tasks: Arc<Vec<String>>,
    /// How many orders there are.
    orders: u64,
    turn: AtomicU64,
}

impl Asking {
    /// All in turn, when it is none.
    pub(super) fn new(question: Option<Question>, tasks: Arc<Vec<String>>, orders: u64) -> Arc<Self> {
        Arc::new(Self { question, tasks, orders, turn: AtomicU64::new(0) })
    }

    fn path(&self, question: Question, turn: u64) -> String {
        // Primes: no two rows in a row are neighbours.
        let task = &self.tasks[(turn.wrapping_mul(7919) % self.tasks.len() as u64) as usize];
        let root = task.split('.').next().unwrap_or_default();
        match question {
            Question::Read => format!("Task/{task}"),
            Question::Worklist => {
                let owner = owner(1 + turn.wrapping_mul(31) % OWNERS);
                format!("Task?owner={owner}&status=accepted&_sort=priority,authored-on&_count=20")
            }
            Question::Patient => {
                let patient = patient_of(1 + turn.wrapping_mul(104_729) % self.orders);
                let patient = String::from_utf8_lossy(&digits(patient)).into_owned();
                format!("Task?patient:identifier=https://load.invalid/fhir/id/person%7C{patient}")
            }
            Question::Focus => format!("Task?focus=ServiceRequest/{root},MedicationRequest/{root}"),
            Question::OrderStatus => format!("Task/{task}/$order-status"),
        }
    }

    pub(super) fn next(&self) -> Call {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let question = self.question.unwrap_or(Question::ALL[turn as usize % Question::ALL.len()]);
        Call::get(question.name(), &format!("/fhir/R4/{}", self.path(question, turn)))
    }
}

impl Caller for Asking {
    fn call(&self) -> Option<Call> {
        Some(self.next())
    }
}

/// A hub over so many Tasks, the work items of which are accepted, and what may be asked of it.
pub(super) struct Grown {
    /// None while it rests.
    hub: Option<Listening>,
    pub(super) database: String,
    pub(super) tasks: Arc<Vec<String>>,
    pub(super) orders: u64,
    loader: Arc<Loader>,
}

impl Grown {
    /// With nothing in it yet.
    pub(super) async fn new(stand: &Stand, name: &str, specimen: Specimen) -> Result<Self> {
        let database = stand.database(name).await?;
        let mut grown = Self { hub: None, database, tasks: Arc::default(), orders: 0, loader: Loader::new(specimen) };
        grown.wake(stand).await?;
        Ok(grown)
    }

    pub(super) fn hub(&self) -> Result<&Listening> {
        self.hub.as_ref().context("the hub rests")
    }

    /// Without a hub, so that another one has the broker for itself.
    pub(super) fn rest(&mut self) {
        self.hub = None;
    }

    pub(super) async fn wake(&mut self, stand: &Stand) -> Result<()> {
        self.hub = Some(stand.hub("hub", &self.database, &stand.queue()).await?);
        Ok(())
    }

    /// So many Tasks more.
    pub(super) async fn grow(&mut self, orders: &Orders, tasks: u64) -> Result<()> {
        self.orders += self.loader.load(self.hub()?, orders, &self.database, tasks).await?;
        let mut connection = PgConnection::connect(&self.database).await?;
        self.tasks = Arc::new(sqlx::query_scalar(IDS).bind(KNOWN).fetch_all(&mut connection).await?);
        self.is_whole().await
    }

    /// Each question finds what it asks for: the rows that were loaded are as the hub's own.
    async fn is_whole(&self) -> Result<()> {
        let client = Client::new(format!("http://{}/fhir/R4", self.hub()?.address));
        for question in Question::ALL {
            let asking = Asking::new(Some(question), self.tasks.clone(), self.orders);
            for turn in 0..20 {
                let path = asking.path(question, turn);
                let reply = client.get(&path).await;
                let found = match question {
                    Question::Read => usize::from(path.ends_with(reply.body["id"].as_str().unwrap_or("nothing"))),
                    Question::OrderStatus => reply.body["parameter"].as_array().map_or(0, |all| all.len() / 4),
                    _ => reply.body["entry"].as_array().map_or(0, Vec::len),
                };
                ensure!(reply.status == 200 && found > 0, "{path} was answered {} with {found} found", reply.status);
            }
        }
        Ok(())
    }

    pub(super) fn asking(&self, question: Option<Question>) -> Arc<Asking> {
        Asking::new(question, self.tasks.clone(), self.orders)
    }
}

pub(super) async fn run(settings: &Settings) -> Result<Report> {
    let stand = Stand::build(settings.programs.clone()).await?;
    let orders = Arc::new(Orders::new(settings.seed)?);
    let submitted = Specimen::record(&stand, &orders, Until::Submitted).await?;
    let specimen = Specimen::record(&stand, &orders, Until::Accepted).await?;
    let mut report = Report::new("registry");
    report.notes = settings.notes(&stand, Some(&specimen))?;
    let floor = Floored::of_orders(&stand, submitted).await?;
    report.notes.push(floor.note());
    let tasks = settings.orders.unwrap_or(TASKS);
    let mut grown = Grown::new(&stand, "hub", specimen).await?;
    grown.grow(&orders, tasks).await?;
    for round in 1..=settings.rounds {
        let first = floor.measure(settings, &stand).await?;
        tidy(&stand, &grown.database).await?;
        let mut rates = Vec::new();
        for question in Question::ALL {
            rates.push(ask(settings, &grown, question, &format!("round {round}, alone"), &mut report).await?);
        }
        let plain = first.and(floor.measure(settings, &stand).await?);
        report.point(plain.point(round, "orders"));
        for (question, rate) in Question::ALL.into_iter().zip(rates) {
            let figure = format!("{}, {tasks} Tasks", question.name());
            report.scaled(&figure, "1/s", rate, speed(&plain), question.line());
        }
        tidy(&stand, &grown.database).await?;
        let beside = match settings.beside {
            Some(rate) => rate,
            None => settings.drive(grown.hub()?, CONNECTIONS, Pace::Closed, orders.clone()).await?.0.rate() / 2.0,
        };
        for question in Question::ALL {
            let load = format!("round {round}, beside {beside:.0} orders/s");
            let writing = settings.drive(grown.hub()?, CONNECTIONS, Pace::Open(beside), orders.clone());
            let asking = ask(settings, &grown, question, &load, &mut report);
            let ((written, _), rate) = tokio::try_join!(writing, asking)?;
            report.figure(&format!("{}, while writing", question.name()), "1/s", rate, None);
            ensure!(written.faults.is_empty(), "orders were not taken: {:?}", written.faults);
        }
    }
    Ok(report)
}

pub(super) async fn ask(
    settings: &Settings,
    grown: &Grown,
    question: Question,
    load: &str,
    report: &mut Report,
) -> Result<f64> {
    let (tally, cost) = settings.drive(grown.hub()?, CONNECTIONS, Pace::Closed, grown.asking(Some(question))).await?;
    report.point(Point::of(question.name(), load, "answers", &tally, cost));
    Ok(tally.rate())
}
