"""Models of the kernel: the environment, device-mapper targets, and scenes around a driver that is not known.

`reviewbot.models.scene` finds a scene by name; each of them is a function in one of the other modules.
"""
