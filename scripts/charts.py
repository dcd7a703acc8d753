# SPDX-FileCopyrightText: 2026 the trainmeter authors
# SPDX-License-Identifier: Apache-2.0
"""Charts by vl-convert: Vega-Lite specifications, a JSON object by name on stdin, become STEMname.svg.

charts.py STEM          draws
charts.py --library     prints the JavaScript that draws them in a page
"""
import json
import sys

if len(sys.argv) != 2:
    sys.exit(print("charts.py: expected STEM or --library", file=sys.stderr) or 2)
try:
    import vl_convert
except ImportError:
    sys.exit(print("charts.py: no vl-convert in this Python (scripts/charts.sh gets it)", file=sys.stderr) or 3)

# The page's colours (report/page/page.js) on white, told apart with any kind of colour vision.
CONFIG = {
    "background": "white",
    "font": "DejaVu Sans, sans-serif",
    "padding": 12,
    "view": {"stroke": None},
    "range": {"category": ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#999999", "#b8a800"]},
    "axis": {"gridColor": "#dfe3e9", "domainColor": "#dfe3e9", "tickColor": "#dfe3e9", "titleFontWeight": "normal"},
}

if sys.argv[1] == "--library":
    print("// Vega, Vega-Lite, Vega-Embed: (c) University of Washington Interactive Data Lab, BSD-3-Clause;")
    print("// D3: (c) Mike Bostock, ISC.")
    print(vl_convert.javascript_bundle().replace("</script", "<\\/script").replace("<!--", "<\\!--"))
else:
    for name, spec in json.load(sys.stdin).items():
        spec["width"] = 640  # a page's charts are as wide as their place
        with open(f"{sys.argv[1]}{name}.svg", "w", encoding="utf-8") as out:
            out.write(vl_convert.vegalite_to_svg(spec, config=CONFIG) + "\n")
