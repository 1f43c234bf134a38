"""Compiles a LightGBM model with lleaves, and prints the version of lleaves.

lleaves_compile.py MODEL.txt OUT.o
"""
import importlib.metadata
import os
import sys

import lleaves

model, out = sys.argv[1:]
lleaves.Model(model_file=model).compile(cache=out + ".part")
os.replace(out + ".part", out)
print(importlib.metadata.version("lleaves"))
