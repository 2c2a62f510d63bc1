"""The confinement of the local sandbox, in pure Python and ctypes, for Linux on x86-64 and aarch64.

Read it in this order, each file in one sitting:

1. `policy`      which system calls a guest may make, as data
2. `seccomp`     the filter program that holds the kernel to that policy
3. `landlock`    which files a guest may touch, by the kernel's own access control
4. `namespaces`  a world of its own: no host files, network, processes or users
5. `lockdown`    the order in which one process gives everything up
6. `zygote`      the warm process that forks confined guests
7. `launcher`    the host's side: starts a zygote, asks it for guests, ends it

Everything but `launcher` and `packages` runs below the host, in an isolated interpreter whose `sys.path` holds this
package under the name ``jail``; it imports the standard library only, and nothing of ``codeact_tools``.
"""
