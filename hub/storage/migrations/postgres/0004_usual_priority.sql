-- Nearly all Tasks are routine: an index entry of each would lead to nearly all of them, and be written anew with every
-- version. Those that are more urgent have one.

-- Who waits for a lock makes everybody behind it wait as well. Rather this fails, and the hub starts again.
SET LOCAL lock_timeout = '10s';

DROP INDEX task_priority;
CREATE INDEX task_priority ON task (priority, status, seq) WHERE priority < 3;
