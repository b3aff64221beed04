"""A checkpoint out of trainings."""
