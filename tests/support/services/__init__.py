"""Real object stores for the tests. Each class starts one on free loopback ports in a directory of its own.

All have: `provider` and `config` (as `PUT /v1/storage` takes them), `start()`, `kill()` (SIGKILL of what answers requests; what
was stored stays), `stop()`, and `close()` (ends everything). They work as context managers.
"""
