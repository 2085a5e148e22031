"""gunicorn's settings for bench_web.py: each worker opens the cache itself."""

from web_app import start

post_worker_init = start
