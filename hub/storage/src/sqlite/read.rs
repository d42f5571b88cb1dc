//! Reading single resources, their history, and the parts of an order.

use hub_domain::registry::{HistoryOf, Page, Stored, Trouble};
use schemas::resource::Key;
use sqlx::AssertSqlSafe;
use uuid::Uuid;

use super::Sqlite;
use super::load::pairs;
use crate::errors::trouble;
use crate::history::{self, Bounds, InstancePage, TypePage};
use crate::outcome::json;
use crate::rows::VersionRow;

const CURRENT: &str = "-- read
    SELECT v.kind, v.id, v.version, v.root, v.method, v.updated, v.body
      FROM json_each($1) AS wanted CROSS JOIN version AS v
     WHERE v.kind = wanted.value ->> 0 AND v.id = wanted.value ->> 1 AND v.method <> 3
       AND v.version = (SELECT max(version) FROM version
                         WHERE kind = wanted.value ->> 0 AND id = wanted.value ->> 1)
     ORDER BY wanted.key";
/// The requests stand in the head.
const PARTS_OF: &str = "-- parts_of
    SELECT v.kind, v.id, v.version, v.root, v.method, v.updated, v.body
      FROM (SELECT 'Task' AS kind, id FROM task WHERE id >= $1 AND id < $2
            UNION SELECT 'Task', id FROM task WHERE root = $3
            UNION SELECT substr(value, 1, instr(value, '/') - 1), substr(value, instr(value, '/') + 1)
                    FROM head CROSS JOIN json_each(head.run, '$.r') WHERE head.root = $3) AS part
     CROSS JOIN version AS v
     WHERE v.kind = part.kind AND v.id = part.id AND v.method <> 3
       AND v.version = (SELECT max(version) FROM version WHERE kind = part.kind AND id = part.id)";

impl Sqlite {
    pub(super) async fn read_current(&self, keys: &[Key]) -> Result<Vec<Stored>, Trouble> {
        let rows = sqlx::query_as::<_, VersionRow>(CURRENT).bind(pairs(keys.iter()));
        let rows = rows.fetch_all(&self.readers).await.map_err(trouble)?;
        rows.iter().map(VersionRow::stored).collect()
    }

    pub(super) async fn read_version(&self, key: &Key, version: Option<u32>) -> Result<Option<Stored>, Trouble> {
        let rows = sqlx::query_as::<_, VersionRow>(history::VERSION).bind(key.kind.name()).bind(&key.id);
        let row = rows.bind(version.map(i64::from)).fetch_optional(&self.readers).await.map_err(trouble)?;
        row.map(|row| row.stored()).transpose()
    }

    pub(super) async fn read_parts_of(&self, root: Uuid) -> Result<Vec<Stored>, Trouble> {
        let (from, to) = history::ids_of(root);
        let rows = sqlx::query_as::<_, VersionRow>(PARTS_OF).bind(from).bind(to).bind(root);
        let rows = rows.fetch_all(&self.readers).await.map_err(trouble)?;
        history::in_step_order(&rows)
    }

    pub(super) async fn read_history(&self, of: &HistoryOf) -> Result<Page, Trouble> {
        let Some((kind, id)) = of.kind.zip(of.id.as_ref()) else { return self.read_feed(of).await };
        let page = InstancePage::of(of)?;
        let Bounds { since_us, until_us, current_us } = page.bounds;
        let rows = sqlx::query_as::<_, VersionRow>(history::INSTANCE).bind(kind.name()).bind(id);
        let rows = rows.bind(page.before).bind(since_us).bind(until_us).bind(current_us).bind(page.limit);
        page.cut(rows.fetch_all(&self.readers).await.map_err(trouble)?)
    }

    async fn read_feed(&self, of: &HistoryOf) -> Result<Page, Trouble> {
        let page = TypePage::of(of, self.show_us(of.kinds()).await?)?;
        let Bounds { since_us, until_us, current_us } = page.bounds;
        // Of each type as many as a page may need, each by its index.
        let of_type = |place: usize| {
            format!(
                "SELECT * FROM (SELECT seq, kind, id, version, updated FROM version
                                 WHERE kind = ($1 ->> {place}) AND (updated, seq) < ($2, $3) AND updated >= $4 AND updated <= $5
                                 ORDER BY updated DESC, seq DESC LIMIT $7)"
            )
        };
        let scanned: Vec<String> = (0..of.kinds().len()).map(of_type).collect();
        let kinds: Vec<&str> = of.kinds().iter().map(|kind| kind.name()).collect();
        let rows = sqlx::query_as(AssertSqlSafe(history::feed(&scanned.join(" UNION ALL "), "x''"))).bind(json(&kinds));
        let rows = rows.bind(page.before_us).bind(page.before_seq).bind(since_us).bind(until_us).bind(current_us);
        let rows = rows.bind(page.limit);
        page.cut(rows.fetch_all(&self.readers).await.map_err(trouble)?)
    }
}
