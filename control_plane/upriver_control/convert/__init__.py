"""Converting trained models into versions: float, dynamic-range and int8, with what each costs."""

from upriver_control.convert.conversion import Conversion, convert_to_version, is_source

__all__ = ["Conversion", "convert_to_version", "is_source"]
