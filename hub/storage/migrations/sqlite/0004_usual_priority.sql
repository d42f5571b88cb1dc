-- Nearly all Tasks are routine: an index entry of each would lead to nearly all of them, and be written anew with every
-- version. Those that are more urgent have one.

DROP INDEX task_priority;
CREATE INDEX task_priority ON task (priority, status, seq) WHERE priority < 3;
