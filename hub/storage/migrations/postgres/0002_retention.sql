-- Receipts have an age and go when they are old; and tables that are written anew all day are swept as often.
-- A hub that knows only 0001 goes on beside this.

-- Who waits for a lock makes everybody behind it wait as well: behind a dump, that would be the whole hub. Rather this
-- fails, and the hub starts again.
SET LOCAL lock_timeout = '10s';

-- A receipt that was there before counts from now on. An older hub writes none: then it is the database's time.
ALTER TABLE receipt ADD COLUMN at BIGINT NOT NULL DEFAULT (extract(epoch FROM now()) * 1000000)::bigint;
CREATE INDEX receipt_at ON receipt (at);

-- Each of their rows is dead within seconds. Dead rows lie in front of the living ones in an index that is read from
-- its beginning, so their number counts, and not their share; and the tables are small: no reason to go slowly.
ALTER TABLE outbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
                        autovacuum_vacuum_cost_delay = 0);
ALTER TABLE timer  SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000,
                        autovacuum_vacuum_cost_delay = 0);
-- As many go as come, all from one end of an index.
ALTER TABLE receipt SET (autovacuum_vacuum_scale_factor = 0.02);
-- One row for each order and for each Task of all years, of which those of today are written over and over: the usual
-- fifth of them all would be the dead rows of months.
ALTER TABLE head SET (autovacuum_vacuum_scale_factor = 0.02);
ALTER TABLE task SET (autovacuum_vacuum_scale_factor = 0.02);
