"""The list of the studies that a sweep can be of."""

from .cases import Study
from .curve_cases import SCHEDULE, STEPS
from .laws import LAW

STUDIES: dict[str, Study] = {"law": LAW, "schedule": SCHEDULE, "steps": STEPS}
"""By name; `columns.COLUMNS` says what each takes."""
