"""An editable wheel for the guest of scripts/in-vm: the project's names and needs, and a path entry for /work.

    vm_wheel.py pyproject.toml DIRECTORY         writes the wheel
    vm_wheel.py --requirements pyproject.toml    prints what it and its tests need, one a line

The real build would compile for some minutes in there, at every change of the dependencies.
"""

from __future__ import annotations

import sys
import tomllib
import zipfile
from pathlib import Path


def main() -> None:
    if sys.argv[1] == "--requirements":
        project = tomllib.loads(Path(sys.argv[2]).read_text())["project"]
        print("\n".join([*project["dependencies"], *project["optional-dependencies"]["test"]]))
        return
    project = tomllib.loads(Path(sys.argv[1]).read_text())["project"]
    directory = Path(sys.argv[2])
    directory.mkdir(parents=True, exist_ok=True)
    name, version = project["name"].replace("-", "_"), project["version"]
    metadata = ["Metadata-Version: 2.1", f"Name: {project['name']}", f"Version: {version}", "Provides-Extra: test"]
    metadata += [f"Requires-Dist: {one}" for one in project["dependencies"]]
    metadata += [f'Requires-Dist: {one}; extra == "test"' for one in project["optional-dependencies"]["test"]]
    entries = ["[console_scripts]", *(f"{key} = {value}" for key, value in project["scripts"].items())]
    entries += ["[pytest11]", *(f"{key} = {value}" for key, value in project["entry-points"]["pytest11"].items())]
    info = f"{name}-{version}.dist-info"
    files = (
        (f"{name}.pth", ["/work"]),
        (f"{info}/METADATA", metadata),
        (f"{info}/WHEEL", ["Wheel-Version: 1.0", "Generator: in-vm", "Root-Is-Purelib: true", "Tag: py3-none-any"]),
        (f"{info}/entry_points.txt", entries),
    )
    record = [f"{path},," for path, _ in files] + [f"{info}/RECORD,,"]
    with zipfile.ZipFile(directory / f"{name}-{version}-py3-none-any.whl", "w") as wheel:
        for path, lines in (*files, (f"{info}/RECORD", record)):
            wheel.writestr(path, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
