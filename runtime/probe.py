"""The event that is none: posted to see whether events arrive. What ingest, loader and doctor agree on.

Invariant: an event of this type is answered like any other, and kept in the quarantine under this reason, cut
to these bytes; no view shows it, and no count of events or of the quarantine has it.
"""

EVENT_TYPE = "TaplineProbe"
REASON = "probe"
BYTES_MAX = 1_024
