"""What starts a guest on a remote machine and carries its bytes over the standard input and output of one command.

It runs there, outside of the jail, from source that the host brings along; standard library only. The host's end uses
`lines`, too.
"""
