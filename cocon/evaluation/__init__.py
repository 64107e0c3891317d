"""Protocols that evaluate a pretrained encoder with the labels of a data set, see cocon/protocols.py."""
