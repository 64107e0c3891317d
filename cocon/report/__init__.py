"""The report: one self-contained HTML page about a data set's results (see :mod:`cocon.report.build`)."""
