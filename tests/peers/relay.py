#!/usr/bin/env python3
"""Carries the lines of `rtc-client join --signaling exec:…` to another one of its kind, for tests and as an example.

  relay.py PORT               both sides: the second to come begins
  relay.py PORT --until-answer    ends once an answer has gone by

The first listens at a port of the loopback, the second connects to it. Nothing is read but what has to be.
"""

import json
import socket
import sys
import threading
import time


def meet(port):
    """A connection to the other side, and whether we are the later one."""
    for _ in range(200):
        try:
            return socket.create_connection(("127.0.0.1", port)), True
        except OSError:
            pass
        try:
            with socket.create_server(("127.0.0.1", port)) as server:
                return server.accept()[0], False
        except OSError:
            time.sleep(0.05)
    sys.exit("nobody came")


def main():
    until_answer = "--until-answer" in sys.argv
    link, later = meet(int(sys.argv[1]))
    print(f"relay: {'connected' if later else 'found'}", file=sys.stderr, flush=True)
    if later:
        print(json.dumps({"begin": True}), flush=True)
    answered = threading.Event()

    def look(line):
        if json.loads(line).get("description", {}).get("type") == "answer":
            answered.set()

    def there():
        for line in sys.stdin:
            look(line)
            link.sendall(line.encode())
        # rtc-client has said goodbye.
        link.shutdown(socket.SHUT_WR)

    def here():
        with link.makefile() as lines:
            for line in lines:
                look(line)
                print(line, end="", flush=True)
        answered.set()

    threads = [threading.Thread(target=run, daemon=True) for run in (there, here)]
    for thread in threads:
        thread.start()
    if until_answer:
        answered.wait()
        # What is on its way arrives; candidates that come later do not.
        time.sleep(1)
    else:
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main()
