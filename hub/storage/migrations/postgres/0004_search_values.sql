-- Who waits for a lock makes everybody behind it wait as well. Rather this fails, and the hub starts again.
SET LOCAL lock_timeout = '10s';

-- Texts and numbers by which resources are found, in the order in which they are compared. Of a text its beginning, without
-- accents and in small letters: eight bytes, and the eight behind them. Of a number the least and the most that it may
-- be. `param` is a number made of the type's and the element's name, and of the unit.
CREATE TABLE search_value (
    param         INTEGER NOT NULL,
    low           BIGINT NOT NULL,
    seq           BIGINT NOT NULL,
    high          BIGINT NOT NULL,
    PRIMARY KEY (param, low, seq, high)
);
