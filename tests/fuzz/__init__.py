"""Hostile input for every port and the topic, with oracles that say what no input may cause."""
