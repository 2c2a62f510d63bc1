"""What runs inside a sandbox: the interpreter session that executes the actions.

Standard library only, and nothing of the host is imported, so the package runs from a copy of its source files: put the
folder that holds it on ``sys.path`` and call ``guest.main.main(fd_in, fd_out)``. Nothing here is a security boundary:
an action owns this interpreter. The boundary is the operating system around it and the checks on the host.

Read it in this order: `main` (the requests), `execution` (one action), `link` (frames, and calls that find their
replies) and `lookout`, `tools` and `callables` (what an action calls), `classes` and `records` (what it computes with),
`values`, `scalars`, `tables` and `arrays` (what crosses), then `console`, `display`, `report`, `policy`, `files`,
`interrupts`.
"""
