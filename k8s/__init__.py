"""Runs on a Kubernetes cluster. Knows core.executor; knows no terminal."""
