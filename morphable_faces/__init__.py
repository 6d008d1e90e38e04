"""The front door for users of the installed package: a Python API, and one command for all commands.

It may import every other folder, and none of them imports it; hence a folder of its own, of the name that a
user would guess.
"""
