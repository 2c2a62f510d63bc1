"""``python engine/__main__.py SYS_PATH``: import this folder as the package ``engine``, and serve.

The package that it lies in is not imported: that would load the host's side, and with it pydantic.
"""

from __future__ import annotations

import json
import sys
from importlib import import_module
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

if __name__ == "__main__":
    sys.path[:] = json.loads(sys.argv[1])
    folder = Path(__file__).parent
    spec = spec_from_file_location("engine", folder / "__init__.py", submodule_search_locations=[str(folder)])
    if spec is None or spec.loader is None:
        raise SystemExit(f"{folder} cannot be imported")
    sys.modules["engine"] = package = module_from_spec(spec)
    spec.loader.exec_module(package)
    import_module("engine.serving").main()
