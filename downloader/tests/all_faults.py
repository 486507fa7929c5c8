"""The table of faults as a whole. As a program it writes the table of docs/reliability.md anew."""

from __future__ import annotations

import sys

from fault_table import documented
from faults_of_bodies import FAULTS_OF_BODIES
from faults_of_volumes import FAULTS_OF_VOLUMES
from faults_on_the_way import FAULTS_ON_THE_WAY
from repository import REPOSITORY

DOCUMENT = REPOSITORY / "docs" / "reliability.md"
FAULTS = [*FAULTS_ON_THE_WAY, *FAULTS_OF_BODIES, *FAULTS_OF_VOLUMES]

if __name__ == "__main__":
    DOCUMENT.write_text(documented(DOCUMENT.read_text(), FAULTS))
    sys.exit()
