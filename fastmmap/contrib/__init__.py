"""Adapters, one module per framework, which nothing else imports.

Each needs its framework, named as an extra of fastmmap, and says so.
"""
