"""Calibration data as people have it: folders of arrays or images, and Parquet. It becomes one questions file."""

from upriver_control.intake.contract import Input, read_contract
from upriver_control.intake.reading import Written, open_data, write_questions
from upriver_control.intake.rows import Batch, Data

__all__ = ["Batch", "Data", "Input", "Written", "open_data", "read_contract", "write_questions"]
