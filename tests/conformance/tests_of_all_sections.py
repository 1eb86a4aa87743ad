"""Imports every file of tests: importing one registers its tests."""

import importlib
import pathlib

for _path in sorted(pathlib.Path(__file__).parent.glob("spec_*.py")):
    importlib.import_module(_path.stem)
