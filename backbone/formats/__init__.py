"""Readers of legacy formats. Each is pure, bounded in memory and strict."""

from backbone.formats.delimited import CsvLayout, csv_layout
from backbone.formats.reader import Layout, Malformed, RawRecord, Reader, Scan

__all__ = ["CsvLayout", "Layout", "Malformed", "RawRecord", "Reader", "Scan", "csv_layout"]
