"""The child program that unpacks one layer with the layer's directory as its root.

Its modules import nothing of the engine and only what starts fast, because one process is started for each layer.
"""
