"""Figures computed from vectors and labels alone; pretraining and evaluation share them."""
