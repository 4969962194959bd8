"""SQLAlchemy Core: a SQLite file by default, PostgreSQL by URL. Importing this imports no database."""

from posterngate.store.runs import FINISHED, RUNNING, Population, RunInfo, RunRecord, measured_arm
from posterngate.store.store import Store

__all__ = ["FINISHED", "RUNNING", "Population", "RunInfo", "RunRecord", "Store", "measured_arm"]
