//! Reading single resources, their history, and the parts of an order.

use hub_domain::registry::{HistoryOf, Page, Stored, Trouble};
use schemas::resource::Key;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::Postgres;
use crate::history::{self, Bounds, InstancePage, TypePage};
use crate::rows::VersionRow;

const CURRENT: &str = "-- read
    SELECT v.kind, v.id, v.version, v.root, v.method, v.updated, v.body
      FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS wanted (kind, id, place)
     CROSS JOIN LATERAL (SELECT * FROM version
                          WHERE kind = wanted.kind AND id = wanted.id ORDER BY version DESC LIMIT 1) AS v
     WHERE v.method <> 3
     ORDER BY wanted.place";
/// The plan is made for any order: each version is looked up by its key, however many Tasks that plan expects. The requests
/// stand in the head.
const PARTS_OF: &str = "-- parts_of
    SELECT v.kind, v.id, v.version, v.root, v.method, v.updated, v.body
      FROM (SELECT 'Task' AS kind, id FROM task WHERE id >= $1 AND id < $2
            UNION ALL SELECT 'Task', id FROM task WHERE root = $3
            UNION ALL SELECT split_part(key, '/', 1), split_part(key, '/', 2)
                        FROM head CROSS JOIN LATERAL jsonb_array_elements_text(run::jsonb -> 'r') AS request (key)
                       WHERE root = $3) AS part
     CROSS JOIN LATERAL (SELECT * FROM version
                          WHERE kind = part.kind AND id = part.id ORDER BY version DESC LIMIT 1) AS v
     WHERE v.method <> 3";

/// Of each type as many as a page may need, each by its index.
const SCANNED: &str = "
    SELECT r.* FROM unnest($1::text[]) AS k (kind)
     CROSS JOIN LATERAL (SELECT seq, kind, id, version, updated FROM version
                          WHERE kind = k.kind AND (updated, seq) < ($2, $3) AND updated >= $4 AND updated <= $5
                          ORDER BY updated DESC, seq DESC LIMIT $7) AS r";

impl Postgres {
    pub(super) async fn read_current(&self, keys: &[Key]) -> Result<Vec<Stored>, Trouble> {
        let kinds: Vec<&str> = keys.iter().map(|key| key.kind.name()).collect();
        let ids: Vec<&str> = keys.iter().map(|key| key.id.as_str()).collect();
        let rows = sqlx::query_as::<_, VersionRow>(CURRENT).bind(kinds).bind(ids);
        let rows = self.readers.all(rows).await?;
        rows.iter().map(VersionRow::stored).collect()
    }

    pub(super) async fn read_version(&self, key: &Key, version: Option<u32>) -> Result<Option<Stored>, Trouble> {
        let rows = sqlx::query_as::<_, VersionRow>(history::VERSION).bind(key.kind.name()).bind(&key.id);
        let row = self.readers.first(rows.bind(version.map(i64::from))).await?;
        row.map(|row| row.stored()).transpose()
    }

    pub(super) async fn read_parts_of(&self, root: Uuid) -> Result<Vec<Stored>, Trouble> {
        let (from, to) = history::ids_of(root);
        let rows = sqlx::query_as::<_, VersionRow>(PARTS_OF).bind(from).bind(to).bind(root);
        let rows = self.readers.all(rows).await?;
        history::in_step_order(&rows)
    }

    pub(super) async fn read_history(&self, of: &HistoryOf) -> Result<Page, Trouble> {
        let Some((kind, id)) = of.kind.zip(of.id.as_ref()) else { return self.read_feed(of).await };
        let page = InstancePage::of(of)?;
        let Bounds { since_us, until_us, current_us } = page.bounds;
        let rows = sqlx::query_as::<_, VersionRow>(history::INSTANCE).bind(kind.name()).bind(id);
        let rows = rows.bind(page.before).bind(since_us).bind(until_us).bind(current_us).bind(page.limit);
        page.cut(self.readers.all(rows).await?)
    }

    async fn read_feed(&self, of: &HistoryOf) -> Result<Page, Trouble> {
        let page = TypePage::of(of, self.show_us(of.kinds()).await?)?;
        let Bounds { since_us, until_us, current_us } = page.bounds;
        let kinds: Vec<&str> = of.kinds().iter().map(|kind| kind.name()).collect();
        let rows = sqlx::query_as(AssertSqlSafe(history::feed(SCANNED, "''::bytea"))).bind(kinds);
        let rows = rows.bind(page.before_us).bind(page.before_seq).bind(since_us).bind(until_us).bind(current_us);
        let rows = rows.bind(page.limit);
        page.cut(self.readers.all(rows).await?)
    }
}
