//! Histories: what both databases are asked, and how the answer becomes a page.

use hub_domain::registry::{HistoryOf, Page, Stored, Trouble};
use schemas::ids::TaskId;
use schemas::resource::Kind;
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
      FROM version AS v
     WHERE kind = $1 AND id = $2 AND version < $3 AND updated >= $4 AND updated <= $5
       AND NOT EXISTS (SELECT 1 FROM version AS n
                        WHERE n.kind = v.kind AND n.id = v.id AND n.version = v.version + 1 AND n.updated <= $6)
     ORDER BY version DESC LIMIT $7";

/// The versions of types before a place in the order of time, from `scanned` rows of seq, kind, id, version, updated.
/// What was not current at $6 or later is told without its body. `empty`: how a body of no bytes is written.
pub(crate) fn feed(scanned: &str, empty: &str) -> String {
    format!(
        "-- type_history
        WITH scanned AS ({scanned} ORDER BY updated DESC, seq DESC LIMIT $7)
        SELECT s.seq, s.live, v.kind, v.id, v.version, v.root, v.method, v.updated,
               CASE WHEN s.live THEN v.body ELSE {empty} END AS body
          FROM (SELECT r.*, NOT EXISTS (SELECT 1 FROM version AS n
                                         WHERE n.kind = r.kind AND n.id = r.id AND n.version = r.version + 1
                                           AND n.updated <= $6) AS live
                  FROM scanned AS r) AS s
          JOIN version AS v ON v.kind = s.kind AND v.id = s.id AND v.version = s.version
         ORDER BY s.updated DESC, s.seq DESC"
    )
}

/// Most versions that a page looks at which asks what was current at a time; more is told on the next one.
const SCANNED_MAX: u32 = 1000;

pub(crate) struct InstancePage {
    pub(crate) before: i64,
    pub(crate) bounds: Bounds,
    pub(crate) limit: i64,
}

/// From and up to which time a version was written, and after which it was followed, in microseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) since_us: i64,
    pub(crate) until_us: i64,
    pub(crate) current_us: i64,
}

impl Bounds {
    fn of(of: &HistoryOf) -> Self {
        let (current, until) = of.at.map_or((i64::MIN, i64::MAX), |(from, to)| (from.0, to.0));
        Self { since_us: of.since.map_or(i64::MIN, |since| since.0), until_us: until, current_us: current }
    }
}

impl InstancePage {
    pub(crate) fn of(of: &HistoryOf) -> Result<Self, Trouble> {
        let [before] = of.page.as_deref().map_or(Ok([i64::from(i32::MAX)]), pages::read)?;
        Ok(Self { before, bounds: Bounds::of(of), limit: i64::from(of.count) + 1 })
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
    live: bool,
    #[sqlx(flatten)]
    row: VersionRow,
}

pub(crate) struct TypePage {
    pub(crate) before_us: i64,
    pub(crate) before_seq: i64,
    pub(crate) bounds: Bounds,
    count: usize,
    pub(crate) limit: i64,
}

impl TypePage {
    /// A later page goes on from where the first one began to look: what is newer belongs to the next first page.
    pub(crate) fn of(of: &HistoryOf, horizon_us: i64) -> Result<Self, Trouble> {
        let [before_us, before_seq] = of.page.as_deref().map_or(Ok([horizon_us, i64::MAX]), pages::read)?;
        let scanned = if of.at.is_some() { SCANNED_MAX.max(of.count + 1) } else { of.count + 1 };
        let (count, limit) = (of.count as usize, i64::from(scanned));
        Ok(Self { before_us, before_seq, bounds: Bounds::of(of), count, limit })
    }

    /// A page ends when it is full, or with what was looked at for it.
    pub(crate) fn cut(&self, rows: Vec<PlacedRow>) -> Result<Page, Trouble> {
        let rows_read = rows.len() as u64;
        let (mut entries, mut last) = (Vec::new(), None);
        let mut more = rows_read as i64 == self.limit;
        for placed in &rows {
            if entries.len() == self.count {
                more = true;
                break;
            }
            last = Some(pages::write(&[placed.row.updated, placed.seq]));
            if placed.live {
                entries.push(placed.row.stored()?);
            }
        }
        Ok(Page { entries, next: last.filter(|_| more), rows_read })
    }
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
    let mut parts = rows.iter().map(VersionRow::stored).collect::<Result<Vec<_>, _>>()?;
    parts.sort_by_cached_key(|part| {
        let step = part.key.id.parse::<TaskId>().map_or((u32::MAX, 0), |id| (id.step, id.occurrence));
        (part.key.kind == Kind::TASK, step, part.key.clone())
    });
    Ok(parts)
}
