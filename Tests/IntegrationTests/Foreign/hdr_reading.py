# SPDX-License-Identifier: Apache-2.0
"""hdr_reading.py HISTOGRAM: what HdrHistogram for Python reads in an encoded histogram: each value with its count."""
import sys

from hdrh.histogram import HdrHistogram

histogram = HdrHistogram.decode(sys.argv[1])
print("total", histogram.get_total_count())
for item in histogram.get_recorded_iterator():
    print(histogram.get_highest_equivalent_value(item.value_iterated_to), item.count_added_in_this_iter_step)
