-- The offsets of one topic without a row, as ranges, found inside ClickHouse.
--
-- In: {tables} (a regular expression: the raw tables that hold the topic's rows), {log} (only rows with this number in
-- `_log` count: a topic that was created again has other records at the same offsets) and, for each of its partitions,
-- {partitions}, {lows}, {highs}: the offsets from low to high - 1 are examined.
-- Out: partition, rows (offsets that have a row), starts and ends (the first and last offsets of ranges without one).
--
-- Offsets are examined in blocks of 65,536. A block is one roaring bitmap, which is small because offsets follow
-- each other; only incomplete blocks are searched. Run by `python -m consumers.reconcile`.
WITH 65536 AS size
SELECT
    partition,
    toUInt64(last - first - length(absent)) AS rows,
    arrayFilter(o -> o = first OR bitmapContains(present, toUInt64(o - 1)), absent) AS starts,
    arrayFilter(o -> o = last - 1 OR bitmapContains(present, toUInt64(o + 1)), absent) AS ends
FROM
(
    SELECT
        partition,
        present,
        greatest(low, block * size) AS first,
        least(high, (block + 1) * size) AS last,
        if(
            bitmapCardinality(bitmapSubsetInRange(present, toUInt64(first), toUInt64(last))) = last - first,
            [],
            arrayFilter(o -> NOT bitmapContains(present, toUInt64(o)), range(first, last))
        ) AS absent
    FROM
    (
        SELECT partition, low, high, arrayJoin(range(intDiv(low, size), intDiv(high - 1, size) + 1)) AS block
        FROM
        (
            SELECT place.1 AS partition, place.2 AS low, place.3 AS high
            FROM
            (
                SELECT arrayJoin(arrayZip(
                    {partitions:Array(Int32)}, {lows:Array(Int64)}, {highs:Array(Int64)}
                )) AS place
            )
        )
        WHERE high > low
    ) AS wanted
    LEFT JOIN
    (
        SELECT _partition, intDiv(_offset, size) AS block, groupBitmapState(toUInt64(_offset)) AS present
        FROM merge('tapcart_raw', {tables:String})
        WHERE _log = {log:Int32} AND _offset >= 0
        GROUP BY _partition, block
    ) AS loaded ON wanted.partition = loaded._partition AND wanted.block = loaded.block
)
ORDER BY partition, first
