-- Requests are found by their status and priority in their own row, as Tasks are: a row of search_token for each would
-- be written anew whenever a request ends.

CREATE INDEX resource_status ON resource (kind, status, seq);
CREATE INDEX resource_priority ON resource (kind, priority, seq);
