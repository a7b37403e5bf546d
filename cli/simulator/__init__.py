"""A seeded shop's day: the calls that its systems make, and the truth that was planned."""

from cli.simulator.day import Call, Day, Expected, Truth
from cli.simulator.shop import simulate

__all__ = ["Call", "Day", "Expected", "Truth", "simulate"]
