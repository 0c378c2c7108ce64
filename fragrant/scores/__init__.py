"""Score tables: what a test leaves on disk, and everything that is computed from it.

table.py: ``load_table``, ``save_table``, ``merge``; ensemble.py: ``ensemble_views``, ``ensemble_runs``; summary.py:
``summarise``.
"""

from fragrant.scores.ensemble import VideoScores, ensemble_runs, ensemble_views, split_rule
from fragrant.scores.summary import describe_summary, summarise
from fragrant.scores.table import (
    ScoreTable,
    ViewName,
    grid_views,
    load_table,
    merge,
    missing_views,
    pick_views,
    save_table,
)

__all__ = [
    "ScoreTable",
    "VideoScores",
    "ViewName",
    "describe_summary",
    "ensemble_runs",
    "ensemble_views",
    "grid_views",
    "load_table",
    "merge",
    "missing_views",
    "pick_views",
    "save_table",
    "split_rule",
    "summarise",
]
