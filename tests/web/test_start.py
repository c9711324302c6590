"""What a start brings along: the parts that few requests need come with the first that does."""

import os
import subprocess
import sys
from pathlib import Path

from portal.config import ROOT

SAID = """
import sys
from portal import create_app
from portal.config import Settings
create_app(Settings.from_env())
print(*sorted({name.split('.')[0] for name in sys.modules} & set(sys.argv[1:])))
import webauthn
print("and it is there when one is asked for")
"""


def test_a_start_leaves_out_what_few_requests_need(tmp_path: Path):
    rare = ["webauthn", "pydantic", "xlsxwriter", "qrcode", "granian", "redis", "PIL"]
    environ = {**os.environ, "INSTANCE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", SAID, *rare]
    said = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=True).stdout
    assert said == "\nand it is there when one is asked for\n"
