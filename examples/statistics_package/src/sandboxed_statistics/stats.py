from anywasm import clib

clib.module(__name__)
