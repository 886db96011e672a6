"""People are erased while events flow and parts are broken at random; then all that could bring them back.

`people` makes their posts, `flow` sends them, `run` breaks, erases and restores, `judge` searches.
"""
