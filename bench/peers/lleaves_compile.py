"""Compiles a LightGBM model by lleaves: lleaves_compile.py MODEL.txt OUT.o"""
import os
import sys

import lleaves

model, out = sys.argv[1:]
lleaves.Model(model_file=model).compile(cache=out + ".part")
os.replace(out + ".part", out)
