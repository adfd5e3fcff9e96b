"""After a kill: sweeps, verifies the whole store, and runs a container to show that the next run works.

    python -m tests.crash.check ROOT

Prints a JSON document: what was swept, what is damaged, what the container said.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from pytest_pods.engine.api import Engine


def main() -> None:
    root = Path(sys.argv[1])
    with Engine.open(root=root) as engine:
        container = engine.run("localhost/busybox:1", ["echo", "works"], network="none")
        container.wait(timeout=60)
        said = container.logs()
        damage = list(engine.find_damage())
        swept = engine.swept
    print(
        json.dumps(
            {"said": said, "damage": damage, "swept": list(swept.removed), "faults": [str(f) for f in swept.faults]}
        )
    )


if __name__ == "__main__":
    main()
