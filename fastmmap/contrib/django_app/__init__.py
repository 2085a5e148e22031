"""An application of Django: ``manage.py fastmmap``, and checks of CACHES.

In settings.py::

    INSTALLED_APPS = [..., "fastmmap.contrib.django_app"]
"""
