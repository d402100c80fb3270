"""What the black-box tests know about their surroundings."""

import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("ROWHOUSE_BINARY", ROOT / "build" / "release" / "rowhouse")).resolve()
SANITIZED = bool(os.environ.get("ROWHOUSE_SANITIZE"))
PACKS = ("deeplens", "isp-monitor", "tekup")
TIERS = ("pool", "schema", "database")

# Limits against hangs. Nothing here asserts speed.
SLOWDOWN = 5 if SANITIZED else 1
START_LIMIT_S = 90 * SLOWDOWN
STOP_LIMIT_S = 60 * SLOWDOWN
REQUEST_LIMIT_S = 60 * SLOWDOWN
