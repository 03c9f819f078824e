"""Lessons that agents handed up: Parquet files by model, region and date, each lesson once."""
