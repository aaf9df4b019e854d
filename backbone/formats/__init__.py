"""Readers of legacy formats. Each is pure, bounded in memory and strict."""

from backbone.formats.delimited import CsvLayout, csv_layout
from backbone.formats.fixed_width import FixedColumn, FixedWidthLayout, Total
from backbone.formats.json_records import JsonArrayLayout, JsonLinesLayout
from backbone.formats.reader import Layout, Malformed, RawRecord, Reader, Scan
from backbone.formats.xml_elements import XmlLayout

__all__ = [
    "CsvLayout",
    "FixedColumn",
    "FixedWidthLayout",
    "JsonArrayLayout",
    "JsonLinesLayout",
    "Layout",
    "Malformed",
    "RawRecord",
    "Reader",
    "Scan",
    "Total",
    "XmlLayout",
    "csv_layout",
]
