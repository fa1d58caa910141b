#!/usr/bin/env python3
"""Does what README.md shows: counts, kills the process, and finds the count again.

    first_actor_test.py PROGRAM
"""

import json
import re
import subprocess
import sys
import tempfile
import unittest
import urllib.error
import urllib.request

PROGRAM = sys.argv.pop(1)
TIMEOUT_SECONDS = 60
VISITS = "/api/v1/actors/default/default/counter/visits"


class Node:
    """One life of the program, on a free port."""

    def __init__(self, directory):
        self.process = subprocess.Popen([PROGRAM, "dev", "--http.port=0", f"--data.directory={directory}"],
                                        stdout=subprocess.PIPE, text=True)
        for line in self.process.stdout:
            found = re.search(r"http://\S+", line)
            if found:
                self.url = found.group(0)
                return
        raise AssertionError(f"the node ended with exit code {self.process.wait(TIMEOUT_SECONDS)}")

    def request(self, method, path, body=None, headers=None):
        request = urllib.request.Request(self.url + path, method=method, headers=headers or {})
        if body is not None:
            request.data = json.dumps(body).encode()
        if method == "POST":
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
                text = answer.read()
                return answer.status, json.loads(text) if text else None
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def end(self, how):
        how(self.process)
        code = self.process.wait(TIMEOUT_SECONDS)
        self.process.stdout.close()
        return code


class FirstActorTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.directory = folder.name
        self.node = Node(self.directory)
        self.addCleanup(lambda: self.node.process.poll() is None and self.node.end(subprocess.Popen.kill))

    def restart_after(self, how):
        code = self.node.end(how)
        self.node = Node(self.directory)
        return code

    def test_the_count_survives_sigkill(self):
        self.assertEqual(self.node.request("POST", VISITS, {"by": 5}), (200, 5))
        self.assertEqual(self.node.request("POST", VISITS), (200, 6))
        self.assertEqual(self.restart_after(subprocess.Popen.kill), -9)
        self.assertEqual(self.node.request("GET", VISITS), (200, 6))

    def test_the_count_survives_sigterm(self):
        self.assertEqual(self.node.request("POST", VISITS, {"by": 7}), (200, 7))
        self.assertEqual(self.restart_after(subprocess.Popen.terminate), 0)
        self.assertEqual(self.node.request("GET", VISITS), (200, 7))

    def test_a_retry_with_its_key_counts_once_also_after_sigkill(self):
        key = {"Idempotency-Key": "request-1"}
        self.assertEqual(self.node.request("POST", VISITS, {"by": 5}, key), (200, 5))
        self.restart_after(subprocess.Popen.kill)
        self.assertEqual(self.node.request("POST", VISITS, {"by": 5}, key), (200, 5))
        self.assertEqual(self.node.request("GET", VISITS), (200, 5))

    def test_another_key_is_another_counter(self):
        self.assertEqual(self.node.request("POST", VISITS, {"by": 5}), (200, 5))
        self.assertEqual(self.node.request("GET", VISITS.replace("visits", "sales")), (200, 0))

    def test_a_wrong_field_is_named_and_counts_nothing(self):
        status, problem = self.node.request("POST", VISITS, {"bye": 5})
        self.assertEqual((status, problem["domain"]), (422, "PLX-COD-0002"))
        self.assertIn("did you mean 'by'?", problem["detail"])
        self.assertEqual(self.node.request("GET", VISITS), (200, 0))


if __name__ == "__main__":
    unittest.main()
