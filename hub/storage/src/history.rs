//! Histories: what both databases are asked, and how the answer becomes a page.

use hub_domain::registry::{HistoryOf, Page, Stored, Trouble};
use schemas::ids::TaskId;
use uuid::Uuid;

use crate::pages;
use crate::rows::VersionRow;

/// One version, or the newest.
pub(crate) const VERSION: &str = "-- version
    SELECT kind, id, version, root, method, updated, body
      FROM version WHERE kind = $1 AND id = $2 AND version = coalesce($3, version)
     ORDER BY version DESC LIMIT 1";
/// The order that a resource belongs to.
pub(crate) const ROOT: &str = "-- root_of
    SELECT root FROM version WHERE kind = $1 AND id = $2 ORDER BY version DESC LIMIT 1";
/// The versions of one resource before a version.
pub(crate) const INSTANCE: &str = "-- instance_history
    SELECT kind, id, version, root, method, updated, body
      FROM version WHERE kind = $1 AND id = $2 AND version < $3 AND updated >= $4
     ORDER BY version DESC LIMIT $5";
/// The versions of one type before a place in the order of time.
pub(crate) const TYPE: &str = "-- type_history
    SELECT seq, kind, id, version, root, method, updated, body
      FROM version WHERE kind = $1 AND (updated, seq) < ($2, $3) AND updated >= $4
     ORDER BY updated DESC, seq DESC LIMIT $5";

pub(crate) struct InstancePage {
    pub(crate) before: i64,
    pub(crate) since_us: i64,
    pub(crate) limit: i64,
}

impl InstancePage {
    pub(crate) fn of(of: &HistoryOf) -> Result<Self, Trouble> {
        let [before] = of.page.as_deref().map_or(Ok([i64::from(i32::MAX)]), pages::read)?;
        Ok(Self { before, since_us: since_us(of), limit: i64::from(of.count) + 1 })
    }

    pub(crate) fn cut(&self, mut rows: Vec<VersionRow>) -> Result<Page, Trouble> {
        let rows_read = rows.len() as u64;
        let more = cut_to(&mut rows, self.limit);
        let next = rows.last().filter(|_| more).map(|row| pages::write(&[i64::from(row.version)]));
        Ok(Page { entries: rows.iter().map(VersionRow::stored).collect::<Result<_, _>>()?, next, rows_read })
    }
}

/// A row of `version` with its place among those of the same time.
#[derive(Debug, sqlx::FromRow)]
pub(crate) struct PlacedRow {
    seq: i64,
    #[sqlx(flatten)]
    row: VersionRow,
}

pub(crate) struct TypePage {
    pub(crate) before_us: i64,
    pub(crate) before_seq: i64,
    pub(crate) since_us: i64,
    pub(crate) limit: i64,
}

impl TypePage {
    /// A later page goes on from where the first one began to look: what is newer belongs to the next first page.
    pub(crate) fn of(of: &HistoryOf, horizon_us: i64) -> Result<Self, Trouble> {
        let [before_us, before_seq] = of.page.as_deref().map_or(Ok([horizon_us, i64::MAX]), pages::read)?;
        Ok(Self { before_us, before_seq, since_us: since_us(of), limit: i64::from(of.count) + 1 })
    }

    pub(crate) fn cut(&self, mut rows: Vec<PlacedRow>) -> Result<Page, Trouble> {
        let rows_read = rows.len() as u64;
        let more = cut_to(&mut rows, self.limit);
        let next = rows.last().filter(|_| more).map(|last| pages::write(&[last.row.updated, last.seq]));
        Ok(Page { entries: rows.iter().map(|placed| placed.row.stored()).collect::<Result<_, _>>()?, next, rows_read })
    }
}

fn since_us(of: &HistoryOf) -> i64 {
    of.since.map_or(i64::MIN, |since| since.0)
}

/// One row more than a page was read, to know whether there is another page.
fn cut_to<T>(rows: &mut Vec<T>, limit: i64) -> bool {
    let more = rows.len() as i64 == limit;
    rows.truncate(usize::try_from(limit - 1).unwrap_or(0));
    more
}

/// The ids of the Tasks that carry `root`: from the first up to, and without, the second.
pub(crate) fn ids_of(root: Uuid) -> (String, String) {
    // '/' follows '.' in the order of bytes.
    (format!("{root}."), format!("{root}/"))
}

/// By step and offer; Tasks whose id says neither come last, by id.
pub(crate) fn in_step_order(rows: &[VersionRow]) -> Result<Vec<Stored>, Trouble> {
    let mut tasks = rows.iter().map(VersionRow::stored).collect::<Result<Vec<_>, _>>()?;
    tasks.sort_by_cached_key(|task| {
        let id = task.key.id.parse::<TaskId>();
        (id.map_or((u32::MAX, 0), |id| (id.step, id.occurrence)), task.key.id.clone())
    });
    Ok(tasks)
}
