"""A real browser for tests: Debian's chromium, headless, driven by selenium. `from mtac_assets_tests.browser import browser`
in a conftest makes the fixture known there.

Without chromium a test is skipped by name; with `CI=true` it fails instead, so that no build passes without its pages
having been looked at. Screenshots go to the folder in MTAC_SCREENSHOTS, or to the test's temporary folder.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
DRIVER = "chromedriver"
OPTIONS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    "--window-size=1600,1200",
)


@dataclass(frozen=True)
class Browser:
    """A browser window with its place for screenshots."""

    driver: Chrome
    screenshots: Path

    def open(self, url: str) -> None:
        self.driver.get(url)

    @property
    def text(self) -> str:
        """All text that the page shows now."""
        return str(self.driver.execute_script("return document.body ? document.body.innerText : ''"))

    def wait_for_text(self, *texts: str, seconds: float = 60.0) -> None:
        """Wait until the page shows all of `texts`; fails with what it shows instead."""
        self.wait_until(lambda: all(text in self.text for text in texts), f"the page to show {texts}", seconds)

    def wait_until(self, holds: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
        """Wait until `holds`; fails with what the page shows and a screenshot of it."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                shot = self.screenshot("failed")
                pytest.fail(
                    f"waited {seconds:.0f} s for {what} at {self.driver.current_url} ({shot}):\n{self.text[:2000]}"
                )
            time.sleep(0.2)

    def screenshot(self, name: str) -> Path:
        """Keep what the window shows as `<name>.png`."""
        self.screenshots.mkdir(parents=True, exist_ok=True)
        path = self.screenshots / f"{name}.png"
        assert self.driver.save_screenshot(str(path)), f"no screenshot at {path}"
        return path

    def console_errors(self) -> list[str]:
        """What the page complained about in its console, at level SEVERE."""
        return [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.fixture
def browser(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Browser]:
    """A fresh headless browser; skipped by name without chromium, failed where CI=true says that it must be there."""
    program = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    driver_path = shutil.which(DRIVER)
    if program is None or driver_path is None:
        missing = "chromium" if program is None else DRIVER
        message = f"{request.node.name}: {missing} is not installed (Debian: chromium, chromium-driver)"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(message)
        pytest.skip(message)
    from selenium.webdriver import Chrome, ChromeOptions
    from selenium.webdriver.chrome.service import Service

    options = ChromeOptions()
    options.binary_location = program
    for option in (*OPTIONS, f"--user-data-dir={tmp_path / 'browser'}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "SEVERE"})
    driver = Chrome(options=options, service=Service(driver_path))
    driver.set_page_load_timeout(60)
    try:
        yield Browser(driver, Path(os.environ.get("MTAC_SCREENSHOTS") or tmp_path / "screenshots"))
    finally:
        driver.quit()
