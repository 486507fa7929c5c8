"""What needs more than one node: disks that move, drains, taints, GPUs."""
