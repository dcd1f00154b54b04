"""The schedule of a finding on a real kernel: User Mode Linux with and without the patch, driven into it.

An untrusted patch is compiled and run here, so this happens only when somebody asks for it by name, and all of it in a
sandbox (`reviewbot.reproduce.sandbox`). No review comes here, and no watcher.
"""
