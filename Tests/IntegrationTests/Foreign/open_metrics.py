# SPDX-License-Identifier: Apache-2.0
"""Reads OpenMetrics from a file by the strict parser of Prometheus's own client; prints each family and its kind."""

import sys

from prometheus_client.openmetrics.parser import text_string_to_metric_families

with open(sys.argv[1], encoding="utf-8") as file:
    for family in text_string_to_metric_families(file.read()):
        print(family.name, family.type, len(family.samples))
