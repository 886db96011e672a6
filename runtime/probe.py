"""The probe event, sent to test whether events arrive. Shared by ingest, loader and doctor.

Invariant: a probe is answered like an event and quarantined under this reason, cut to this length. No view
shows it, and no count of events or of the quarantine includes it.
"""

EVENT_TYPE = "TaplineProbe"
REASON = "probe"
BYTES_MAX = 1_024
