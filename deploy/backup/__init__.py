"""The data of the one-machine stack -> a folder that can be copied elsewhere, and back into an empty place.

`__main__` writes a backup, `restore` reads one. A backup is a folder below DATA_DIR/backups with a manifest.
"""
