"""What the store promises, explored: every order of steps, every crash, every pause, every stale read.

`python -m protocol` prints what was explored, and the shortest way to a broken promise for each mistake that the
protocol avoids. docs/cache-format.md describes the protocol in words; the steps are named after the functions of
llmkube_downloader.store that take them, so that the two can be compared:

| Step | What it does | In |
|---|---|---|
| use.write_use | says that a pod uses the key | starting.py |
| use.await_removal | looks for intents to remove it | starting.py |
| entry.look | looks whether the entry is whole; lease.take_or_join does it again before a build | starting.py |
| condemned.finish_removals | finishes what a dead remover began; also for trash.empty_trash | removing.py |
| staging._adopt | proves an owner dead; `rename`: takes over what it received | building.py |
| staging.salvage | copies what silent owners received; then Attempt.open opens the file | building.py |
| part.write | writes and journals half of the file | building.py |
| publish.publish | writes the manifest and renames | building.py |
| publish._join_winner | looks at what has the name | building.py |
| trash.quarantine | moves what is damaged aside; `look`: looks at what it has moved | building.py |
| users.sweep | unlinks a use lease that is old; done right it is one step, and not seen | removing.py |
| removal.refuse_users | looks for users; `again`: after the rename | removing.py |
| removal.condemn | renames the entry out of sight | removing.py |
| condemned.put_back, condemned.give_up | decide over it | removing.py |
| removal.give_up: rest | removes attempts | removing.py |

What is left out: power cuts, several files of an entry, and the hash of a file. In place of the hash stands what the
journals say, which is what a hash begins with that is gone on with: so a journal that lies leads to a wrong entry.
"""
