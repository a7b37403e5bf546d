"""Athena answered here: DuckDB behind moto's Athena API, over moto's Glue and S3, in Athena's own dialect."""

from infra.local.athena.api import install, remove

__all__ = ["install", "remove"]
