# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""The page in Chromium, from disk: nothing is requested, no error is logged, every chart is drawn, a number is followed to its
record, dark and light, 380 px wide, printed.
page_browser.py TRAINMETER RECORD FOLDER"""
import base64
import json
import pathlib
import shutil
import subprocess
import sys
import time

try:
    from selenium import webdriver
except ImportError:
    sys.exit(print("skipped: no python3-selenium"))
if not (shutil.which("chromium") and shutil.which("chromedriver")):
    sys.exit(print("skipped: no chromium and chromium-driver"))

program, record, folder = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
folder.mkdir(parents=True, exist_ok=True)
page = folder / "report.html"
made = subprocess.run([program, "report", record, "--format", "html", "-o", page], stderr=subprocess.PIPE, text=True, check=True)
if "no charts" in made.stderr:
    sys.exit(print("skipped: no chart library (scripts/charts.sh)"))

options = webdriver.ChromeOptions()
options.binary_location = shutil.which("chromium")
for flag in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
    options.add_argument(flag)
options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
browser = webdriver.Chrome(service=webdriver.chrome.service.Service(shutil.which("chromedriver")), options=options)


def show(width, scheme):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]})
    browser.get(page.resolve().as_uri())
    for _ in range(300):
        if browser.execute_script("return document.documentElement.dataset.ready"):
            break
        time.sleep(0.1)
    else:
        raise AssertionError("the page never got ready")
    charts, drawn = browser.execute_script(
        "return [document.querySelectorAll('.chart').length, document.querySelectorAll('.chart[data-drawn] :is(svg, canvas)').length]")
    assert charts == drawn > 5, f"{drawn} of {charts} charts drawn"
    wide = browser.execute_script("return document.documentElement.scrollWidth")
    assert wide <= width, f"{wide} px wide in a window of {width}"
    browser.save_screenshot(str(folder / f"{width}-{scheme}.png"))
    return browser.execute_script("return getComputedStyle(document.body).backgroundColor")


try:
    assert show(1100, "light") == "rgb(255, 255, 255)"
    assert show(1100, "dark") != "rgb(255, 255, 255)"
    show(380, "light")

    browser.execute_script("[...document.querySelectorAll('button.number')].find(b => b.dataset.number.endsWith(':step_time_s')).focus()")
    browser.switch_to.active_element.send_keys("\n")  # by keyboard
    chain = browser.find_element("id", "steps").text
    assert ".jsonl:" in chain and "breakdown_s.gemm" in chain, chain[:500]
    browser.switch_to.active_element.send_keys("\ue00c")  # Escape
    assert not browser.find_element("id", "chain").is_displayed()

    pdf = base64.b64decode(browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True})["data"])
    assert pdf.startswith(b"%PDF") and len(pdf) > 30_000, len(pdf)

    errors = [e["message"] for e in browser.get_log("browser") if e["level"] == "SEVERE"]
    assert not errors, errors
    asked = [json.loads(e["message"])["message"] for e in browser.get_log("performance")]
    urls = [e["params"]["request"]["url"] for e in asked if e["method"] == "Network.requestWillBeSent"]
    urls = [u for u in urls if u != page.resolve().as_uri() and not u.startswith("data:")]
    assert not urls, urls
finally:
    browser.quit()
