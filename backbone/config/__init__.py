"""The deployment file: one YAML a deployment, read into frozen settings, every problem listed at once."""

from backbone.config.deployment import Deployment, FeedConfig, load
from backbone.problems import InvalidDeploymentError, Problem

__all__ = ["Deployment", "FeedConfig", "InvalidDeploymentError", "Problem", "load"]
