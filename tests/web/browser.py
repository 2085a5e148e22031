"""A real browser: Debian's chromium and its driver, by selenium."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Optional

#: Width, height and whether it is a phone.
DESK, PHONE = (1280, 1000, False), (390, 844, True)
_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def missing() -> Optional[str]:
    """Return what a browser test lacks here; None: nothing."""
    try:
        import selenium  # noqa: F401
    except ImportError:
        return "selenium is not installed"
    if not any(map(shutil.which, _BROWSERS)):
        return "chromium is not installed"
    return None if shutil.which("chromedriver") else "chromedriver is not installed"


def _options(path: str) -> Any:
    from selenium.webdriver import ChromeOptions

    options = ChromeOptions()
    options.binary_location = path
    for argument in _ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return options


@contextmanager
def chromium() -> Iterator[Any]:
    """Run a browser without a window."""
    from selenium.webdriver import Chrome
    from selenium.webdriver.chrome.service import Service

    path = next(filter(None, map(shutil.which, _BROWSERS)))
    service = Service(shutil.which("chromedriver"))
    driver = Chrome(options=_options(path), service=service)
    try:
        yield driver
    finally:
        driver.quit()


def resize(driver: Any, width: int, height: int, phone: bool) -> None:
    """Be a screen of that size."""
    metrics = {
        "width": width,
        "height": height,
        "deviceScaleFactor": 1,
        "mobile": phone,
    }
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def prefer(driver: Any, scheme: str) -> None:
    """Let the system be "light" or "dark"."""
    feature = {"name": "prefers-color-scheme", "value": scheme}
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
