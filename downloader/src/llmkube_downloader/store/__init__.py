"""What lies on the volume: names, manifests, leases, staging and publication.

Correctness never rests on a lock. Every attempt writes into a directory of its own, and a whole one becomes
visible by a single rename; leases only keep two pods from downloading the same bytes.
"""
