"""Production on one machine, as the docs set it up: it is restarted part by part, backed up, and restored.

`site` has the parts, `run` what happens to them, `report` the page about it.
"""
