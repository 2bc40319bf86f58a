# SPDX-License-Identifier: Apache-2.0
"""load_page.py HOME PAGE JSON AXE: the page of a load in headless Chromium, in light and dark, beside its JSON.

AXE is the script of axe-core. Prints "numbers N" when all N numbers of the page are those of the JSON.
"""
import json
import sys

from chromium import open_tab

home, page, path, axe = sys.argv[1:5]
with open(path) as file:
    report = json.load(file)

with open_tab(home) as tab:
    for domain in ["Page", "Network", "Log", "Runtime"]:
        tab.call(f"{domain}.enable")
    for scheme in ["light", "dark"]:
        tab.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        tab.call("Page.navigate", url=f"file://{page}")
        while tab.value("document.readyState") != "complete":
            pass
        background = tab.value("getComputedStyle(document.body).backgroundColor")
        channels = [int(part) for part in background.strip("rgb()").split(",")]
        assert (max(channels) < 60) == (scheme == "dark"), (scheme, background)
        cells = tab.value("[...document.querySelectorAll('[data-key]')].map(c => [c.dataset.key, c.dataset.value])")
        for key, value in cells:
            group, name = key.split(".")
            assert float(value) == float(report[group][name]), (key, value, report[group][name])
        charts = tab.value("[...document.querySelectorAll('svg')].map(s => s.getBoundingClientRect().width)")
        assert len(charts) >= 4 and all(width > 300 for width in charts), charts
        # Nothing is wider than the page.
        assert tab.value("document.documentElement.scrollWidth <= innerWidth")
        points = tab.value("[...document.querySelectorAll('polyline')].every(p => !p.getAttribute('points').includes('NaN'))")
        assert points
        tab.call("Page.setBypassCSP", enabled=True)
        with open(axe) as file:
            tab.call("Runtime.evaluate", expression=file.read())
        wrong = tab.value("axe.run().then(r => r.violations.map(v => v.id + ': ' + v.nodes[0].html))")
        assert wrong == [], (scheme, wrong)
    loaded = [event["params"]["request"]["url"] for event in tab.events if event["method"] == "Network.requestWillBeSent"]
    assert all(url == f"file://{page}" for url in loaded), loaded
    complaints = [event for event in tab.events if event["method"] == "Log.entryAdded"]
    assert complaints == [], complaints
    print("numbers", len(cells))
