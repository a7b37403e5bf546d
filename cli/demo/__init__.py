"""The demonstration: a shop's day through the whole system, with its results checked against the plan."""

from cli.demo.run import run_demo

__all__ = ["run_demo"]
