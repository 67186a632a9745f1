"""All predicates: their codes, and what people are told when one does not hold."""

from __future__ import annotations

from collections.abc import Mapping

from agentplat_doctor.operation import WARNINGS
from agentplat_doctor.promises import ERRORS
from agentplat_doctor.report import Predicate

UNREADABLE = "unreadable"
"""The one predicate that no statement is about: a statement broke off over what is kept in the database."""

PREDICATES: Mapping[str, Predicate] = {predicate.code: predicate for predicate in (*ERRORS, *WARNINGS)}
