-- Of each type, the elements by which all of its current resources have index rows; those that it is being indexed anew
-- by, and the number of the resource up to which that has come. Elements are in order, one a line. A hub that does not know
-- this table changes nothing of it: what it writes beside a newer one is indexed when it has gone.
CREATE TABLE indexed (
    kind     TEXT    NOT NULL PRIMARY KEY,
    elements TEXT    NOT NULL,
    coming   TEXT    NOT NULL,
    seq      INTEGER NOT NULL
) WITHOUT ROWID;
