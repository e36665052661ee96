"""A server without its web half, for tests to kill: python -m tests.server.serve URL FOLDER WORKERS PACE."""

import json
import logging
import sys
from pathlib import Path

from reverie.server.supervisor import Supervisor
from reverie.server.worker import Pace

if __name__ == "__main__":
    logging.disable()
    url, root, workers, pace = sys.argv[1:]
    Supervisor(url, Path(root), "tests.server.toy:Toy", workers=int(workers), pace=Pace(**json.loads(pace))).run()
