"""The configuration of the Django application."""

from django.apps import AppConfig
from django.core.checks import Tags, register

from fastmmap.contrib.django_app.checks import check_caches, check_deployment


class FastMmapConfig(AppConfig):
    """The application."""

    name = "fastmmap.contrib.django_app"
    label = "fastmmap"
    verbose_name = "fastmmap"

    def ready(self) -> None:
        """Let ``manage.py check`` look at the caches."""
        register(check_caches, Tags.caches)
        register(check_deployment, Tags.caches, deploy=True)
