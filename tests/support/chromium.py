"""A headless Chromium for tests of pages, and what every page is held to."""

import contextlib
import importlib.util
import os
import shutil

import pytest

SIZES = {"wide": (1280, 1000), "phone": (390, 844)}


def missing() -> str:
    """Why there is no browser to test in; empty if there is one."""
    if importlib.util.find_spec("selenium") is None:
        return "no selenium here: pip install -e '.[test]'"
    there = shutil.which("chromium") and shutil.which("chromedriver")
    return "" if there else "no browser here: apt-get install chromium chromium-driver"


@contextlib.contextmanager
def chromium():
    """The driver; the test is skipped where there is no browser."""
    if why := missing():
        (pytest.fail if os.environ.get("FRAGRANT_REQUIRE_BROWSER") == "1" else pytest.skip)(why)
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1280,1000",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver"))) as driver:
        yield driver


def resized(driver, name: str) -> None:
    """The size of a desk or a phone, also below the least width of a window."""
    width, height = SIZES[name]
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    driver.execute_async_script(  # until what depends on the width is drawn again
        "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done)))"
    )


def in_the_dark(driver, dark: bool) -> None:
    value = "dark" if dark else "light"
    features = [{"name": "prefers-color-scheme", "value": value}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


def errors(driver) -> list[str]:
    return [entry["message"] for entry in driver.get_log("browser") if entry["level"] != "INFO"]


def sticks_out(driver) -> bool:
    """Whether the page has to be scrolled sideways."""
    return driver.execute_script("return document.documentElement.scrollWidth > window.innerWidth")


def keep_screenshot(driver, name: str) -> None:
    """For people who look: into the folder FRAGRANT_SCREENSHOTS, if it is set."""
    if folder := os.environ.get("FRAGRANT_SCREENSHOTS"):
        os.makedirs(folder, exist_ok=True)
        driver.save_screenshot(os.path.join(folder, f"{name}.png"))
