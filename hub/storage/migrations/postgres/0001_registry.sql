-- The registry. The same tables as on SQLite, and `feed`.
-- Times are microseconds since 1970-01-01 UTC. Texts that are compared are in the order of their bytes.

-- One row for each order, or each resource that belongs to none: what commits are checked against.
CREATE TABLE head (
    root          UUID NOT NULL PRIMARY KEY,
    version       BIGINT NOT NULL,
    last          BIGINT NOT NULL,
    run           TEXT
) WITH (fillfactor = 70);

-- Every version of every resource, never changed: the only place of bodies (JSON, LZ4).
-- method: 1 create, 2 update, 3 delete.
CREATE TABLE version (
    seq           BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY,
    kind          TEXT COLLATE "C" NOT NULL,
    id            TEXT COLLATE "C" NOT NULL,
    version       INTEGER NOT NULL,
    root          UUID NOT NULL,
    method        SMALLINT NOT NULL,
    updated       BIGINT NOT NULL,
    body          BYTEA NOT NULL
);
-- Compressed already, and read whole.
ALTER TABLE version ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE UNIQUE INDEX version_key ON version (kind, id, version);
CREATE INDEX version_feed ON version (kind, updated, seq);

-- What searches ask of the current Tasks. `seq` rises with creation and never changes: pages are cut by it.
-- `root` only where the id does not carry it. Where only equality is asked, the digest of a value stands for it.
-- `authored` is the largest number when the Task has none, so that it sorts last; so is `modified`, which is NULL where
-- it is the same as `updated`.
CREATE TABLE task (
    seq           BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    updated       BIGINT NOT NULL,
    authored      BIGINT NOT NULL,
    authored_high BIGINT,
    modified      BIGINT,
    modified_high BIGINT,
    root          UUID,
    requester     UUID,
    subject       UUID,
    code          UUID,
    grouped       UUID,
    version       INTEGER NOT NULL,
    priority      SMALLINT NOT NULL,
    open          SMALLINT NOT NULL,
    id            TEXT COLLATE "C" NOT NULL,
    status        TEXT COLLATE "C" NOT NULL,
    owner         TEXT COLLATE "C",
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
CREATE INDEX task_urgency ON task (status, priority, authored, seq) INCLUDE (work) WHERE open = 1;
CREATE INDEX task_owner_urgency ON task (owner, status, priority, authored, seq) WHERE open = 1 AND owner IS NOT NULL;

-- The current resources of the other types.
CREATE TABLE resource (
    seq           BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind          TEXT COLLATE "C" NOT NULL,
    id            TEXT COLLATE "C" NOT NULL,
    version       INTEGER NOT NULL,
    updated       BIGINT NOT NULL,
    status        TEXT COLLATE "C",
    priority      SMALLINT NOT NULL,
    authored      BIGINT NOT NULL,
    authored_high BIGINT
);
CREATE UNIQUE INDEX resource_key ON resource (kind, id);
CREATE INDEX resource_kind ON resource (kind, seq);
CREATE INDEX resource_updated ON resource (kind, updated, seq);

-- Values by which resources are found: codes, identifiers, references, each by a digest of its type, its element and
-- itself; `system` by another, 0 for none. `seq` is that of the row in task or resource.
CREATE TABLE search_token (
    value         UUID NOT NULL,
    seq           BIGINT NOT NULL,
    system        BIGINT NOT NULL,
    PRIMARY KEY (value, seq, system)
);

-- Dates by which resources are found: the first and the last instant that each may mean. `param` is a number made of
-- the type's and the element's name.
CREATE TABLE search_date (
    param         INTEGER NOT NULL,
    low           BIGINT NOT NULL,
    seq           BIGINT NOT NULL,
    high          BIGINT NOT NULL,
    PRIMARY KEY (param, low, seq, high)
);
CREATE INDEX search_date_coarse ON search_date (param, low, seq) WHERE high - low > 1000000;

-- The promise to tell it, made in the same transaction. There is room on a page for a row that is leased: it stays there,
-- and its index entries with it.
CREATE TABLE outbox (
    id            BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    task          TEXT COLLATE "C" NOT NULL,
    version       INTEGER NOT NULL,
    work          TEXT NOT NULL,
    step          TEXT NOT NULL,
    owner         TEXT COLLATE "C",
    priority      SMALLINT NOT NULL,
    traceparent   TEXT,
    since         BIGINT NOT NULL,
    leased_until  BIGINT NOT NULL
) WITH (fillfactor = 60);
CREATE INDEX outbox_urgency ON outbox (priority, id);

CREATE TABLE timer (
    root          UUID NOT NULL,
    name          TEXT COLLATE "C" NOT NULL,
    due           BIGINT NOT NULL,
    leased_until  BIGINT NOT NULL,
    PRIMARY KEY (root, name)
);
CREATE INDEX timer_due ON timer (due);

-- Messages that could not be handled, until a person has looked at them. The digest is of the body: a message that is
-- parked once more, because its delivery came again, is the same.
CREATE TABLE parked (
    id           BIGINT NOT NULL GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at           BIGINT NOT NULL,
    queue        TEXT NOT NULL,
    why          TEXT NOT NULL,
    message_id   TEXT NOT NULL,
    content_type TEXT NOT NULL,
    attempts     INTEGER NOT NULL,
    headers      TEXT NOT NULL,
    body         BYTEA NOT NULL,
    digest       BIGINT NOT NULL
);
CREATE UNIQUE INDEX parked_message ON parked (digest, message_id, queue);

-- Answers to submissions that may come again.
CREATE TABLE receipt (
    key           TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    fingerprint   TEXT NOT NULL,
    answer        TEXT NOT NULL
);

-- Who holds an identifier for its type.
CREATE TABLE claim (
    kind          TEXT COLLATE "C" NOT NULL,
    system        TEXT COLLATE "C" NOT NULL,
    value         TEXT COLLATE "C" NOT NULL,
    holder        TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (kind, system, value)
);
CREATE INDEX claim_holder ON claim (kind, holder);

-- Plans that orders started with, by the hash of their content.
CREATE TABLE plan (
    hash          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    body          TEXT NOT NULL
);

-- Up to which moment the versions of a type were shown to somebody who reads them in the order of time. Nothing is
-- committed behind it any more.
CREATE TABLE feed (
    kind          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    shown         BIGINT NOT NULL
);

-- The last word of a commit, which is one statement: raises unless what it `counted` came out as expected, and unless
-- each of its moments is later than what was shown of its type. The lock is shared by commits, and moving a feed on
-- takes it alone. A function sees what was committed before it got the lock; the statement around it would see only
-- what was there when it began.
CREATE FUNCTION commit_holds(counted BOOLEAN, kinds TEXT[], moments BIGINT[]) RETURNS BOOLEAN LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1717921124);
    IF NOT counted OR EXISTS (SELECT 1 FROM unnest(kinds, moments) AS n (kind, moment)
                                JOIN feed ON feed.kind = n.kind WHERE feed.shown >= n.moment) THEN
        RAISE EXCEPTION 'decided on what is no longer so' USING ERRCODE = 'HB001';
    END IF;
    RETURN TRUE;
END $$;
