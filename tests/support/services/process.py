"""Child processes of the services: started with a log, waited for, ended by process id."""

import signal
import subprocess
import time

import requests


class Child:
    def __init__(self, arguments, log, environment=None):
        self.log = log
        with open(log, "ab") as output:
            self.process = subprocess.Popen([str(argument) for argument in arguments], stdin=subprocess.DEVNULL, stdout=output,
                                            stderr=subprocess.STDOUT, env=environment, start_new_session=True)

    def running(self):
        return self.process.poll() is None

    def kill(self):
        self._end(signal.SIGKILL)

    def stop(self, patience_s=30):
        self._end(signal.SIGTERM, patience_s)

    def _end(self, how, patience_s=30):
        if self.running():
            self.process.send_signal(how)
        try:
            self.process.wait(patience_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(patience_s)

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()[-4000:]


def wait_for(condition, what, children=(), patience_s=90):
    """Polls until `condition()` is true; fails at once when one of the children has ended."""
    until = time.monotonic() + patience_s
    while not condition():
        for child in children:
            assert child.running(), f"{what}: a process has ended:\n{child.said()}"
        assert time.monotonic() < until, f"{what}: not within {patience_s} s:\n" + "\n".join(child.said() for child in children)
        time.sleep(0.05)
    # Not somebody else who answers in their place.
    for child in children:
        assert child.running(), f"{what}: a process has ended:\n{child.said()}"


def answers(url, ca_file=None):
    """Is there an HTTP answer, whatever it says?"""
    try:
        requests.get(url, timeout=2, verify=ca_file or True, proxies={"http": None, "https": None})
        return True
    except requests.exceptions.RequestException:
        return False
