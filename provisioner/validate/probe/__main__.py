"""Load this folder as a package of an unlikely name and run the checks.

Isolated mode keeps this folder off the module path, so that none of its modules hides one of the
environment's.
"""

import importlib.util
import sys
from pathlib import Path

if __name__ == "__main__":
    folder = Path(__file__).resolve().parent
    name = "_provision_probe"
    spec = importlib.util.spec_from_file_location(
        name, folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    if spec is None or spec.loader is None:
        raise SystemExit("the probe's folder cannot be loaded")
    sys.dont_write_bytecode = True
    package = importlib.util.module_from_spec(spec)
    sys.modules[name] = package
    spec.loader.exec_module(package)
    session = importlib.import_module(f"{name}.session")
    # the environment's own modules are compiled once: its user profits too
    sys.dont_write_bytecode = False
    session.main()
