"""The command line: each verb parses, calls the library, and prints. Nothing else in the package prints."""

from . import adaptation, board, judges, labelling, policies, runs, service, shelf, studies, tables
from .frame import app, main

__all__ = [
    "adaptation", "app", "board", "judges", "labelling", "main", "policies", "runs", "service", "shelf", "studies",
    "tables",
]  # fmt: skip
