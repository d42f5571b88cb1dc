-- Receipts have an age and go when they are old. A hub that knows only 0001 can still use this.

-- SQLite adds no column with a time as its default, so who writes none gets it from a trigger, as a receipt that was
-- there before gets it here: it counts from now on.
ALTER TABLE receipt ADD COLUMN at INTEGER;
UPDATE receipt SET at = CAST(unixepoch('subsec') * 1000000 AS INTEGER);
CREATE INDEX receipt_at ON receipt (at);
CREATE TRIGGER receipt_dated AFTER INSERT ON receipt WHEN NEW.at IS NULL
BEGIN
    UPDATE receipt SET at = CAST(unixepoch('subsec') * 1000000 AS INTEGER) WHERE key = NEW.key;
END;
