"""Figures of records; the only folder that imports matplotlib. Numbers in, a bitmap and a drawing out."""

from .grids import agreement_matrix, behavior_map, rank_shares
from .lines import intervals, loss_curve, ranks_by_judge, scaling, shares
from .style import GROUPS, PAPER
from .success import score_vs_success

__all__ = [
    "GROUPS",
    "PAPER",
    "agreement_matrix",
    "behavior_map",
    "intervals",
    "loss_curve",
    "rank_shares",
    "ranks_by_judge",
    "scaling",
    "score_vs_success",
    "shares",
]
