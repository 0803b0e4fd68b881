"""The lab: production, its switch, the box and a server under test, as network namespaces on this machine.

`lab.world.Lab` is all of it; `lab.check` says whether a replay was faithful; `lab.ledger` whether the box's own
account is sound.
"""
