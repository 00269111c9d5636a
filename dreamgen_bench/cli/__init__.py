"""The command line: each verb parses, calls the library, and prints. Nothing else in the package prints."""

from . import board, runs, shelf, tables
from .frame import app, main

__all__ = ["app", "board", "main", "runs", "shelf", "tables"]
