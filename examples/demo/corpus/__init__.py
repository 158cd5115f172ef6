"""Generators of the demo's synthetic English: the base corpus and the tasks' inputs."""
