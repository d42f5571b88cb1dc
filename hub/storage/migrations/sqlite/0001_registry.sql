-- The registry. The same tables as on PostgreSQL; types as SQLite knows them.
-- Times are microseconds since 1970-01-01 UTC; a uuid is its 16 bytes.

-- One row for each order, or each resource that belongs to none: what commits are checked against.
CREATE TABLE head (
    root    BLOB    NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL,
    last    INTEGER NOT NULL,
    run     TEXT
) WITHOUT ROWID;

-- Every version of every resource, never changed: the only place of bodies (JSON, LZ4).
-- method: 1 create, 2 update, 3 delete.
CREATE TABLE version (
    seq     INTEGER NOT NULL PRIMARY KEY,
    kind    TEXT    NOT NULL,
    id      TEXT    NOT NULL,
    version INTEGER NOT NULL,
    root    BLOB    NOT NULL,
    method  INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    body    BLOB    NOT NULL
);
CREATE UNIQUE INDEX version_key ON version (kind, id, version);
CREATE INDEX version_feed ON version (kind, updated, seq);

-- What searches ask of the current Tasks. `seq` rises with creation and never changes: pages are cut by it.
-- `root` only where the id does not carry it. Where only equality is asked, the digest of a value stands for it.
-- `authored` is the largest number when the Task has none, so that it sorts last; so is `modified`, which is NULL where
-- it is the same as `updated`.
CREATE TABLE task (
    seq           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    updated       INTEGER NOT NULL,
    authored      INTEGER NOT NULL,
    authored_high INTEGER,
    modified      INTEGER,
    modified_high INTEGER,
    root          BLOB,
    requester     BLOB,
    subject       BLOB,
    code          BLOB,
    grouped       BLOB,
    version       INTEGER NOT NULL,
    priority      INTEGER NOT NULL,
    open          INTEGER NOT NULL,
    id            TEXT    NOT NULL,
    status        TEXT    NOT NULL,
    owner         TEXT,
    work          TEXT,
    step          TEXT
);
CREATE UNIQUE INDEX task_id ON task (id);
CREATE INDEX task_root ON task (root) WHERE root IS NOT NULL;
CREATE INDEX task_owner ON task (owner, status, seq) WHERE owner IS NOT NULL;
CREATE INDEX task_unowned ON task (status, seq) WHERE owner IS NULL;
CREATE INDEX task_requester ON task (requester, status, seq);
CREATE INDEX task_subject ON task (subject, status, seq);
CREATE INDEX task_code ON task (code, status, seq);
CREATE INDEX task_group ON task (grouped, status, seq) WHERE grouped IS NOT NULL;
CREATE INDEX task_priority ON task (priority, status, seq);
CREATE INDEX task_updated ON task (updated, seq) WHERE modified IS NULL;
CREATE INDEX task_updated_apart ON task (updated, seq) WHERE modified IS NOT NULL;
CREATE INDEX task_modified ON task (modified, seq) WHERE modified IS NOT NULL;
-- A lastModified that means more than a second, such as a whole day.
CREATE INDEX task_modified_coarse ON task (modified, seq) WHERE modified_high - modified > 1000000;
-- Worklists by urgency and age.
CREATE INDEX task_urgency ON task (status, priority, authored, seq) WHERE open = 1;
CREATE INDEX task_owner_urgency ON task (owner, status, priority, authored, seq) WHERE open = 1 AND owner IS NOT NULL;

-- The current resources of the other types.
CREATE TABLE resource (
    seq           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    kind          TEXT    NOT NULL,
    id            TEXT    NOT NULL,
    version       INTEGER NOT NULL,
    updated       INTEGER NOT NULL,
    status        TEXT,
    priority      INTEGER NOT NULL,
    authored      INTEGER NOT NULL,
    authored_high INTEGER
);
CREATE UNIQUE INDEX resource_key ON resource (kind, id);
CREATE INDEX resource_kind ON resource (kind, seq);
CREATE INDEX resource_updated ON resource (kind, updated, seq);

-- Values by which resources are found: codes, identifiers, references, each by a digest of its type, its element and
-- itself; `system` by another, 0 for none. `seq` is that of the row in task or resource.
CREATE TABLE search_token (
    value         BLOB    NOT NULL,
    seq           INTEGER NOT NULL,
    system        INTEGER NOT NULL,
    PRIMARY KEY (value, seq, system)
) WITHOUT ROWID;

-- Dates by which resources are found: the first and the last instant that each may mean. `param` is a number made of
-- the type's and the element's name.
CREATE TABLE search_date (
    param INTEGER NOT NULL,
    low   INTEGER NOT NULL,
    seq   INTEGER NOT NULL,
    high  INTEGER NOT NULL,
    PRIMARY KEY (param, low, seq, high)
) WITHOUT ROWID;
CREATE INDEX search_date_coarse ON search_date (param, low, seq) WHERE high - low > 1000000;

-- The promise to tell it, made in the same transaction.
CREATE TABLE outbox (
    id           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    task         TEXT    NOT NULL,
    version      INTEGER NOT NULL,
    work         TEXT    NOT NULL,
    step         TEXT    NOT NULL,
    owner        TEXT,
    priority     INTEGER NOT NULL,
    traceparent  TEXT,
    since        INTEGER NOT NULL,
    leased_until INTEGER NOT NULL
);
CREATE INDEX outbox_urgency ON outbox (priority, id);

CREATE TABLE timer (
    root         BLOB    NOT NULL,
    name         TEXT    NOT NULL,
    due          INTEGER NOT NULL,
    leased_until INTEGER NOT NULL,
    PRIMARY KEY (root, name)
) WITHOUT ROWID;
CREATE INDEX timer_due ON timer (due);

-- Messages that could not be handled, until a person has looked at them. The digest is of the body: a message that is
-- parked once more, because its delivery came again, is the same.
CREATE TABLE parked (
    id           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    at           INTEGER NOT NULL,
    queue        TEXT NOT NULL,
    why          TEXT NOT NULL,
    message_id   TEXT NOT NULL,
    content_type TEXT NOT NULL,
    attempts     INTEGER NOT NULL,
    headers      TEXT NOT NULL,
    body         BLOB NOT NULL,
    digest       INTEGER NOT NULL
);
CREATE UNIQUE INDEX parked_message ON parked (digest, message_id, queue);

-- Answers to submissions that may come again.
CREATE TABLE receipt (
    key         TEXT NOT NULL PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    answer      TEXT NOT NULL
) WITHOUT ROWID;

-- Who holds an identifier for its type.
CREATE TABLE claim (
    kind   TEXT NOT NULL,
    system TEXT NOT NULL,
    value  TEXT NOT NULL,
    holder TEXT NOT NULL,
    PRIMARY KEY (kind, system, value)
) WITHOUT ROWID;
CREATE INDEX claim_holder ON claim (kind, holder);

-- Plans that orders started with, by the hash of their content.
CREATE TABLE plan (
    hash TEXT NOT NULL PRIMARY KEY,
    body TEXT NOT NULL
) WITHOUT ROWID;
