"""Hostile input for every port and the topic, with oracles for the effects that no input may have."""
