#!/usr/bin/env python3
"""rtc-client beside other makers' peers, on this machine, one after the other.

  compare.py calls [--seconds N]     processor time, memory, delays: calls of each with itself
  compare.py picture [--seconds N]   PSNR and SSIM of one clip at three rates, ours and Chromium's encoders
  compare.py crowd [--seconds N]     what one of many peers costs that all send the same prepared media
  compare.py speech                  speech through loss, scored by PESQ and STOI, ours and Chromium's

`scripts/measure-media` installs what it needs and runs it; what stands in COMPARE is the folder for that.
Prints one line of JSON for each figure, then the tables of docs/measurements.md.
"""

import argparse
import os
import signal
import sys

import calls
import crowd
import picture
import speech


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["calls", "crowd", "picture", "speech"])
    parser.add_argument("--seconds", type=int, default=30, help="length of each figure's measuring")
    parser.add_argument("--only", default="", help="only rows whose names hold this")
    options = parser.parse_args()
    # Ended from outside, everything that was started ends too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    load = os.getloadavg()[0]
    if load > 1:
        print(f"the machine is not quiet (load {load:.1f}): the figures say less", file=sys.stderr)
    {"calls": calls, "crowd": crowd, "picture": picture, "speech": speech}[options.what].run(options)


main()
